"""What every entry of params.yaml and datasets.yaml is checked with."""

from pydantic import BaseModel, ConfigDict


class Arguments(BaseModel):
    """Arguments by name; any other name, or a value of another type, is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
