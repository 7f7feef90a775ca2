"""CLIP (Radford et al., "Learning Transferable Visual Models from Natural Language", 2021)."""
