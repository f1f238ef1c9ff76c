"""The files of deploy/ read as those read them that they are for: of each process its command, environment and files.

A process gets no file but those that its container, pod or unit would have, under a directory that stands for its root;
and an address of its own in 127.0.0.0/8, with the ports of the files.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.chaos.processes import ROOT, Process, module, plain_environment

DEPLOY = ROOT / "deploy"
_VARIABLE = re.compile(r"\$\{(\w+):\?[^}]*\}|\$(\$)")
_PORTS = {"GATEWAY": 8080, "ADMIN": 8081, "METRICS": 9464}
_OVERRIDES = {
    "TOLLHOUSE_GATEWAY__LAME_DUCK_S": "0",  # no balancer has to see it
    "TOLLHOUSE_QUOTA__PAUSE_S": "0.001",  # nobody held anything in the empty store
    # A machine that is busy is no lost store.
    "TOLLHOUSE_REDIS__OPERATION_TIMEOUT_S": "5.0",
}


@dataclass
class Part:
    """A process: what stands behind `tollhouse`, its environment, and where the files lie that it sees."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path | str] = field(default_factory=dict)
    """By its own paths: a file of ours, or a text."""

    def process(self, name: str, place: Path, address: str, more: str, *command: str) -> Process:
        """It, as it would run alone on a machine at `address`; `more` is added to its configuration.

        With `command` it does that instead.
        """
        root = place / name
        for path, source in self.files.items():
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            text = source if isinstance(source, str) else source.read_text()
            file.write_text(f"{text}\n{more}" if file.name == "config.toml" else text)
        environment = {
            variable: f"{root}{value}" if value.startswith("/") else value
            for variable, value in self.environment.items()
        }
        said = [*self.environment.values(), (root / "etc/tollhouse/config.toml").read_text()]
        for listen, port in _PORTS.items():
            if any(f"0.0.0.0:{port}" in each for each in said):
                environment[f"TOLLHOUSE_{listen}__LISTEN"] = f"{address}:{port}"
        return Process(
            name,
            module("gateway.cli", *(command or self.command)),
            plain_environment() | environment | _OVERRIDES,
            place / f"{name}.log",
        )


def compose(secrets: Path, environment: Mapping[str, str]) -> dict[str, Part]:
    """The services of our image in compose.yaml, by name; `environment` is that of whoever starts them."""
    services, declared = _compose_file(environment)
    place = DEPLOY / "compose"

    def source(name: str) -> Path:
        file = Path(name)
        return secrets / file.name if file.parts[0] == "secrets" else place / file

    parts = {}
    for name, service in services.items():
        if service["image"] != "tollhouse":
            continue
        part = Part(service["command"], _image_environment())
        for file in service.get("env_file", ()):
            part.environment |= _environment_file(source(file))
        part.environment |= service["environment"]
        for volume in service["volumes"]:
            ours, theirs, _ = volume.split(":")
            part.files[theirs] = source(ours)
        for each in service["secrets"]:
            secret = each if isinstance(each, dict) else {"source": each, "target": each}
            file = declared[secret["source"]]["file"]
            part.files[f"/run/secrets/{secret['target']}"] = source(file)
        parts[name] = part
    return parts


def valkey_of_compose(secrets: Path) -> list[str]:
    """What compose.yaml starts Valkey with, behind the program's name; its secrets are those in `secrets`."""
    services, declared = _compose_file({"HOST_NAME": "llm.example.com"})
    command = list(services["valkey"]["command"])
    for name in services["valkey"]["secrets"]:
        ours = str(secrets / Path(declared[name]["file"]).name)
        command = [word.replace(f"/run/secrets/{name}", ours) for word in command]
    assert command.pop(0) == "valkey-server"
    return command


def kubernetes(secrets: Path) -> dict[str, Part]:
    """The containers of the manifests, by name."""
    place = DEPLOY / "kubernetes"
    kustomization = yaml.safe_load((place / "kustomization.yaml").read_text())
    objects = [
        each
        for name in kustomization["resources"]
        for each in yaml.safe_load_all((place / name).read_text())
    ]
    maps = {
        each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"
    }
    made = {each["name"]: each for each in kustomization["secretGenerator"]}

    def mounted(source: Mapping[str, Any]) -> Iterator[tuple[str, Path | str]]:
        """The files of a volume, or of a part of a projected one."""
        if "configMap" in source:
            yield from maps[source["configMap"]["name"]].items()
        elif "secret" in source:
            named = source["secret"]
            for line in made[named.get("secretName") or named["name"]]["files"]:
                key, _, file = line.rpartition("=")
                yield key or Path(file).name, secrets / Path(file).name
        else:
            for each in source.get("projected", {}).get("sources", ()):
                yield from mounted(each)

    parts = {}
    for workload in objects:
        if workload["kind"] not in {"Job", "Deployment"}:
            continue
        spec = workload["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        volumes = {each["name"]: each for each in spec["volumes"]}
        part = Part(container["args"], _image_environment())
        for each in container.get("envFrom", ()):
            for file in made[each["secretRef"]["name"]]["envs"]:
                part.environment |= _environment_file(secrets / Path(file).name)
        part.environment |= {each["name"]: each["value"] for each in container["env"]}
        for mount in container["volumeMounts"]:
            for name, source in mounted(volumes[mount["name"]]):
                part.files[f"{mount['mountPath']}/{name}"] = source
        parts[container["name"]] = part
    return parts


def systemd(secrets: Path) -> dict[str, Part]:
    """The units of the parts, by their names; the gateway is that of port 8080."""
    parts = {}
    for name in ("migrate", "gateway@", "admin"):
        text = (DEPLOY / f"systemd/tollhouse-{name}.service").read_text()
        text = text.replace("%d", "/run/credentials").replace("%i", "8080")
        lines = [line.partition("=")[::2] for line in text.splitlines() if "=" in line]
        said = [(setting, value) for setting, value in lines if not setting.startswith("#")]
        (command,) = (value for setting, value in said if setting == "ExecStart")
        program, *words = shlex.split(command)
        assert program == "/opt/tollhouse/.venv/bin/tollhouse"
        config = (DEPLOY / "compose/config.toml").read_text()  # as good as any
        part = Part(words, files={"/etc/tollhouse/config.toml": config})
        for setting, value in said:
            if setting == "EnvironmentFile":
                part.environment |= _environment_file(secrets / Path(value).name)
            elif setting == "Environment":
                variable, _, given = value.partition("=")
                part.environment[variable] = given
            elif setting == "LoadCredential":
                credential, _, file = value.partition(":")
                part.files[f"/run/credentials/{credential}"] = secrets / Path(file).name
        parts[name.rstrip("@")] = part
    return parts


Reader = Callable[[Path], dict[str, Part]]
READERS: dict[str, Reader] = {
    "compose": lambda secrets: compose(secrets, {"HOST_NAME": "llm.example.com"}),
    "kubernetes": kubernetes,
    "systemd": systemd,
}
"""By the directory of deploy/."""


def _compose_file(environment: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Services and secrets of compose.yaml, with what is asked of the environment filled in."""

    def filled(match: re.Match[str]) -> str:
        return "$" if match[2] else environment[match[1]]

    document = yaml.safe_load(_VARIABLE.sub(filled, (DEPLOY / "compose/compose.yaml").read_text()))
    return document["services"], document["secrets"]


def _environment_file(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _image_environment() -> dict[str, str]:
    """What the Dockerfile says to each process."""
    _, _, last = (DEPLOY / "Dockerfile").read_text().rpartition("\nFROM ")
    return dict(re.findall(r"(TOLLHOUSE_\w+)=(\S+)", last))
