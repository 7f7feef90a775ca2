"""What the stages of SIMS have in common that build on the host and train nothing."""

from __future__ import annotations

from jaxedit.data import classes as classes_lib
from jaxedit.data.classes import Classes
from jaxedit.data.sources import Source
from jaxedit.errors import UserError
from jaxedit.methods import host_stage


class HostStage(host_stage.HostStage):
    """A host stage that reads label maps."""

    @property
    def size(self) -> tuple[int, int]:
        """Returns height and width of what is built."""
        return tuple(self.config.image_size)

    def classes_of(self, source: Source) -> Classes:
        """Returns the classes of a source.

        Raises:
          UserError: they are not as many as the configuration says, or there are none.
        """
        found = classes_lib.of_source(source)
        if found.count != self.config.network.classes:
            raise UserError(
                f"{source.description} has {found.count} classes, network.classes is "
                f"{self.config.network.classes}. Set it to {found.count}."
            )
        return found
