"""The tests; a package, since one of the oracles installs one of this name."""
