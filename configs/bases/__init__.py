"""What the presets of one paper share, where a file of presets would be too long with it."""
