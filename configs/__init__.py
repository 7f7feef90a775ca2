"""One configuration file per paper; `common` holds what they share."""
