"""The results as an RO-Crate (https://w3id.org/ro/crate): which stage made which file from which, as dvc.lock says.

Every recorded stage is a CreateAction with its script as instrument, its dependencies as objects and its outputs as
results. What git holds is a data entity, a file or folder of the crate; what only DVC's cache holds (raw data, arrays,
models) is described beside, with its MD5 and size.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any

from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter
from dvc_data.hashfile.build import IgnoreInCollectedDirError
from dvc_data.hashfile.build import build as hashed
from dvc_data.hashfile.db import HashFileDB

from replica.common import parameters
from replica.common.errors import UserError

NAME = "ro-crate-metadata.json"
LICENCE = "https://spdx.org/licenses/Apache-2.0"
DVC = "https://dvc.org"


def write(root: Path = Path()) -> Path:
    """Write ro-crate-metadata.json, once the library has read it back; refused, the last one stays.

    Raises
    ------
    UserError
        Where rocrate is not installed, dvc.lock is missing, or files are not those that it records.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ModuleNotFoundError:
        raise UserError("replica release: the package rocrate is missing; `make setup` installs it") from None
    made = build(root, ROCrate)
    # Beside, then renamed: a kill leaves the last one whole.
    part = root / f"{NAME}.part"
    try:
        part.write_text(json.dumps(made.metadata.generate(), indent=2, sort_keys=True, ensure_ascii=False) + "\n")
        check(part, ROCrate)
        return part.replace(root / NAME)
    finally:
        part.unlink(missing_ok=True)


def build(root: Path, kind: Any) -> Any:
    """The crate of what dvc.lock records."""
    from rocrate.model.computerlanguage import ComputerLanguage

    lock = parameters.read(root / "dvc.lock")
    citation = parameters.read(root / "CITATION.cff")
    tracked = set(git(root, "ls-files", "-z").split("\0"))
    stages = lock.get("stages") or {}
    outs = {out["path"]: out for stage in stages.values() for out in stage.get("outs", [])}
    refuse_stale(root, stages, outs, tracked)

    crate = kind()
    crate.name, crate.description = citation["title"], citation["abstract"]
    crate.datePublished = git(root, "log", "-1", "--format=%cI", "--", "dvc.lock").strip()
    crate.root_dataset["version"] = citation["version"]
    for number, author in enumerate(citation["authors"]):
        about = {"@type": "Organization", "name": author["name"]}
        crate.root_dataset.append_to("author", crate.add_jsonld({"@id": f"#author-{number}", **about}))
    crate.license = crate.add_jsonld({"@id": LICENCE, "@type": "CreativeWork", "name": "Apache License 2.0"})
    locked = re.search(r"^dvc==(\S+)", (root / "requirements.txt").read_text(), re.M)
    dvc = {"name": "DVC", "url": DVC, "version": locked[1] if locked else "unknown"}
    language = crate.add(ComputerLanguage(crate, DVC, dvc))
    workflow = crate.add_workflow(str(root / "dvc.yaml"), "dvc.yaml", main=True, lang=language)
    workflow["name"] = "dvc.yaml"
    entities: dict[str, Any] = {"dvc.yaml": workflow}

    def entity(path: str) -> Any:
        if path not in entities:
            # Inputs that no stage makes are git's, and described as the commit has them. The record may be of older
            # code or facts: dvc.lock has the MD5 of what a stage ran on, and `dvc status` tells where that is not this.
            out = outs.get(path)
            about = {"identifier": f"md5:{out['md5']}", "contentSize": str(out["size"])} if out else {}
            whole = {"name": path, **about}
            if path in tracked:
                entities[path] = crate.add_file(str(root / path), path, properties=whole)
            elif any(name.startswith(f"{path}/") for name in tracked):
                entities[path] = crate.add_directory(str(root / path), path, properties=whole)
            else:
                entities[path] = crate.add_jsonld({"@id": f"#{path}", "@type": "Dataset", **whole})
        return entities[path]

    for name, stage in stages.items():
        deps = [each["path"] for each in stage.get("deps", [])]
        # A stage of one's own may have no script there; what tells its command is then dvc.yaml.
        script = next((path for path in deps if path.startswith("stages/")), "dvc.yaml")
        action = crate.add_action(
            entity(script),
            identifier=f"#stage-{name}",
            object=[entity(path) for path in deps if path != script],
            result=[entity(each["path"]) for each in stage.get("outs", [])],
            properties={"name": name, "description": stage["cmd"]},
        )
        for file, values in (stage.get("params") or {}).items():
            for key, value in values.items():
                about = {"@type": "PropertyValue", "name": key, "value": json.dumps(value, ensure_ascii=False)}
                place = f"#{file}:{key}"
                setting = crate.get(place) or crate.add_jsonld({"@id": place, **about})
                if setting["value"] != about["value"]:  # stages that ran before and after an edit of it
                    setting = crate.add_jsonld({"@id": f"{place}@{name}", **about})
                action.append_to("object", setting)
    return crate


def refuse_stale(root: Path, stages: dict[str, Any], outs: dict[str, Any], tracked: set[str]) -> None:
    """See that results are the recorded ones, and each was made from what its predecessor's stage made last.

    Raises
    ------
    UserError
        With a line for each file or stage that is not so.
    """
    held = tracked.union(*(map(str, Path(name).parents) for name in tracked))
    changed = {path for path, out in outs.items() if path in held and not same(root, path, out["md5"])}
    problems = [f"{path}: not the bytes that dvc.lock records; run `dvc repro`" for path in outs if path in changed]
    for name, stage in stages.items():
        for each in stage.get("deps", []):
            path, md5 = each["path"], each.get("md5")
            if path in outs:
                if md5 != outs[path]["md5"]:
                    problems.append(f"{name}: made from another {path} than dvc.lock has now; run `dvc repro {name}`")
                continue
            # A folder of other stages' outputs, or what lies in one: dvc.lock has no entry of it, so the files tell.
            # They can where git holds them all; of models, a clone may have a part.
            near = {out for out in outs if out.startswith(f"{path}/") or path.startswith(f"{out}/")}
            if near and near <= held - changed and not same(root, path, md5):
                problems.append(f"{name}: made from another {path} than lies there now; run `dvc repro {name}`")
    if problems:
        raise UserError("\n".join(problems))


def same(root: Path, path: str, md5: str | None) -> bool:
    """Whether a file or folder has this hash; of a folder, without what .dvcignore leaves out, as dvc.lock has it."""
    place = root.resolve() / path
    if not place.is_dir():
        return place.is_file() and hashlib.md5(place.read_bytes(), usedforsecurity=False).hexdigest() == md5
    ignored = DvcIgnoreFilter(localfs, str(root.resolve()))
    nowhere = HashFileDB(localfs, str(root.resolve() / ".dvc/tmp"))  # a dry run writes nothing to it
    try:
        _, _, found = hashed(nowhere, str(place), localfs, "md5", ignore=ignored, dry_run=True)
    except IgnoreInCollectedDirError:  # DVC records no folder that holds a .dvcignore
        return False
    return bool(found.hash_info.value == md5)


def check(file: Path, kind: Any) -> None:
    """Read metadata by the library: every reference has its entity, and every file and folder lies beside.

    Raises
    ------
    UserError
        With a line for each that is not so.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the library only warns of what is missing
        crate = kind(file)
    known = {entity.id for entity in crate.get_entities()}
    problems = []
    for entity in crate.get_entities():
        for key, value in entity.properties().items():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, dict) and not re.match("https?://", each["@id"]) and each["@id"] not in known:
                    problems.append(f"{NAME}: {entity.id}: {key}: no entity {each['@id']!r}; run `replica release`")
    for entity in crate.data_entities:
        if not (file.parent / entity.id).exists():
            problems.append(f"{entity.id}: no such file, but dvc.lock has it; run `git restore {entity.id}`")
    if problems:
        raise UserError("\n".join(problems))


def git(root: Path, *words: str) -> str:
    """What git says.

    Raises
    ------
    UserError
        Where it refuses, in its own words.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(["git", *words], cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"git {words[0]}: {done.stderr.strip().splitlines()[0]}; run in a clone")
    return done.stdout
