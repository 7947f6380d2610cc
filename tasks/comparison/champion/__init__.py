"""Which model is registered, on what evidence it becomes the champion, and its card."""
