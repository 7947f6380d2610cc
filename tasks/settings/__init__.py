"""The parts of the experiment file's form, and how its text is read; `tasks.config` puts them together."""
