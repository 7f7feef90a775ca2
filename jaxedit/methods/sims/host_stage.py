"""What the stages of SIMS have in common that build on the host and train nothing."""

from __future__ import annotations

from typing import Any, NoReturn

from jaxedit.data import classes as classes_lib
from jaxedit.data.classes import Classes
from jaxedit.data.sources import Source
from jaxedit.errors import UserError
from jaxedit.method import Method


class HostStage(Method):
    """A method without networks: `build` and `merge` are all that it does."""

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

    def networks(self) -> dict:
        """Returns none: this stage has nothing to train."""
        return {}

    def optimizers(self, total_steps: int) -> dict:
        del total_steps
        return {}

    @property
    def tasks(self) -> dict:
        return {}

    def spec(self, batch_size: int) -> Any:
        self._refuse()

    def variables(self, rng, spec) -> Any:
        self._refuse()

    def update(self, state, batch, rng, *, phase: str) -> Any:
        self._refuse()

    def predict(self, state, inputs, rng, *, task: str) -> Any:
        self._refuse()

    def transform(self, *, train: bool) -> Any:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise UserError(
            f"part={self.config.part!r} builds and does not train: give its stage "
            '"build": True in config.stages.'
        )
