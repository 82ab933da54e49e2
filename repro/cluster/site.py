"""The one file that describes a site: its scheduler's names, its modules, its folders. Nothing of it is in the code."""

import os
import re
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, field_validator

from repro.config import Strict
from repro.errors import BadInput

EXAMPLE = Path(__file__).with_name("site.example.yaml")
VARIABLE = "GCPO_SITE"


class Site(Strict):
    """A cluster as its users see it. site.example.yaml explains every field."""

    partition: str = Field(min_length=1)
    account: str = ""
    gpus_per_node: int = Field(ge=0)
    gres: str = ""
    cpus_per_node: int = Field(ge=1)
    memory: str = ""
    nodes: int = Field(1, ge=1)
    train_time: str
    evaluate_time: str
    at_once: int = Field(4, ge=1)
    grace_seconds: int = Field(1800, ge=10)
    extra: list[str] = Field(default_factory=list)
    setup: list[str] = Field(default_factory=list)
    container: str = ""
    python: str = "python"
    hf_home: str = ""
    cache: str = Field(min_length=1)
    results: str = ""
    data: str = ""
    offline: bool = True
    env: dict[str, str] = Field(default_factory=dict)

    @field_validator("train_time", "evaluate_time")
    @classmethod
    def _a_time(cls, value: str) -> str:
        if not re.fullmatch(r"(\d+-)?\d{1,2}:\d{2}:\d{2}", value):
            raise ValueError(f"want a quoted time such as '24:00:00' or '2-00:00:00', not {value!r}")
        return value

    def variables(self) -> dict[str, str]:
        """The environment of every task."""
        named = {
            "HF_HOME": self.hf_home,
            "GCPO_CACHE": self.cache,
            "GCPO_RESULTS": self.results,
            "GCPO_DATA": self.data,
        }
        found = {name: value for name, value in named.items() if value}
        if self.offline:
            found |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        return found | self.env


def load_site(path: Path | None) -> Site:
    """The site file of the command line, of GCPO_SITE, or site.yaml in the working folder.

    Raises BadInput with one line for a file that is missing, cannot be read, or lacks a field.
    """
    found = path or Path(os.environ.get(VARIABLE) or "site.yaml")
    if not found.is_file():
        raise BadInput(f"site file {found} does not exist; copy {EXAMPLE} there and fill it in (or --site, {VARIABLE})")
    try:
        return Site.model_validate(yaml.safe_load(found.read_text(encoding="utf-8")) or {})
    except yaml.YAMLError as error:
        raise BadInput(f"site file {found} is no YAML: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"site file {found}: {where}: {first['msg']}; see {EXAMPLE}") from None
