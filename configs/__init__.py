"""One configuration file per paper; `common` holds what they share, `bases/` what would be too long
for a paper's own file."""
