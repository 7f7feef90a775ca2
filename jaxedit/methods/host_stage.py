"""What methods have in common that build on the host and train nothing."""

from __future__ import annotations

from typing import Any, NoReturn

from jaxedit.errors import UserError
from jaxedit.method import Method


class HostStage(Method):
    """A method without networks to train: `build` and `merge` are all that it does."""

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
