"""Pages that load nothing: templates that Jinja2 fills and escapes, pictures as data addresses."""

from __future__ import annotations

import base64
import io
from typing import Any

import jinja2
from PIL import Image


def filled(template: str, package: str = "", **values: Any) -> str:
    """Returns the text of a template with its values.

    Args:
      template: the name of the file.
      package: whose folder holds it, for a page of its own; it may include what stands in
        `templates/` here, which is where a template is looked for otherwise.
      **values: what it asks for; one that is not there is a mistake.
    """
    shared = jinja2.PackageLoader("jaxedit.report")
    own = [jinja2.PackageLoader(package, "")] if package else []
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*own, shared]), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def address(data: bytes, kind: str) -> str:
    """Returns the bytes of a picture's file as a data address; `kind` as in `image/png`."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def address_of(picture: Image.Image, kind: str = "png", **options: Any) -> str:
    """Returns a picture as a data address; options are of Pillow's writer of that kind."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return address(buffer.getvalue(), kind)
