"""Packaging of jaxedit. `pip install -e .` installs the library and the `jaxedit` command."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "jaxedit/__init__.py").read_text()).group(1)

setup(
    name="jaxedit",
    version=VERSION,
    description="Generative image editing papers in JAX/Flax: train, evaluate, apply.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["jaxedit", "jaxedit.*"]),
    package_data={"jaxedit": [
        "**/*.json", "methods/*/*.html", "report/templates/*", "shipped/*.safetensors",
    ]},
    install_requires=[
        "absl-py>=2.1",
        "array_record>=0.8; platform_system != 'Windows'",
        "filelock>=3.12",
        "flax>=0.12",
        "grain>=0.2.12",
        "importlib_resources>=5.12",  # tensorflow-datasets imports it without declaring it
        "jax>=0.7.2",
        "jinja2>=3.1",  # the report
        "ml_collections>=1.0",
        "numpy>=2.0",
        "opencv-python-headless>=4.8",  # warps and resizes of matting, as published
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.20",
        "pandas>=2.2",  # tables and comparisons
        "pillow>=11.0",
        "plotly>=6.3",  # the curves of the report: its one file of JavaScript
        "psutil>=5.9",  # when a process began
        "pooch>=1.8",  # downloads, checked by digest
        "requests>=2.32",
        "safetensors>=0.5",
        "scikit-image>=0.24",
        "scikit-learn>=1.4",  # two photographs of the demo, and the classifier of U-IDS and P-IDS
        "scipy>=1.13",
        "tensorboardX>=2.6.2",
        "tensorflow-datasets>=4.9.7",
        "tokenizers>=0.20",  # byte pairs of texts
        "tqdm>=4.66",
    ],
    extras_require={
        "test": [
            "hypothesis>=6.100", "matplotlib>=3.8", "pymatting>=1.1.12", "pytest>=8.0",
            "pytest-xdist>=3.5", "ruff>=0.6", "tifffile>=2023.1",
            "ipykernel>=6.29", "nbclient>=0.10",  # the notebooks are executed
        ],
        "matting": ["pymatting>=1.1.12"],  # classical mattes to compare with, foreground colours
        "align": ["dlib>=19.24"],  # landmarks of faces, with a file that its page has
        "plots": ["matplotlib>=3.8"],
        "bench": ["torch>=2.4"],  # benchmarks against PyTorch; nothing else imports it
    },
    entry_points={"console_scripts": ["jaxedit=jaxedit.cli:program"]},
)
