"""`homeward model`: the models in use, and the packs of models that are installed here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from homeward.api.embedding.v1 import embedding_service_pb2
from homeward.api.embedding.v1.embedding_service_pb2_grpc import EmbeddingServiceStub
from homeward.cli import progress, render
from homeward.cli.errors import CliError, ExitCode
from homeward.cli.options import Group, Session, connected
from homeward.core import pack_manifest, packs

_NONE = """\
No packs in {folder}. The default models, yunet-sface, need none; `homeward model install` installs
others."""


@click.group(cls=Group)
def model() -> None:
    """Show which models are in use; install others.

    The services run `yunet-sface` unless HOMEWARD_MODEL_PACK says otherwise: `insightface:NAME` for
    detector and recogniser of a pack that is installed here, `onnx:NAME` for its recogniser beside
    YuNet. The licence of its weights is the operator's matter, and is stated in
    HOMEWARD_MODEL_LICENCE.
    """


def _local(function: Any) -> Any:  # noqa: ANN401 - a command under construction
    """Give a command that asks no service its folder and output."""
    for option in (
        click.option(
            "-o", "--output", type=click.Choice(["text", "json"]), default="text",
            show_default=True, help="Text to read, or JSON.",
        ),
        click.option(
            "--model-dir", "folder", type=click.Path(file_okay=False, path_type=Path),
            envvar="HOMEWARD_MODEL_DIR", default=packs.default_folder,
            help="Folder of the installed packs. [default: in the user's data folder]",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


@model.command("list", examples=["homeward model list"])
@_local
def list_packs(*, folder: Path, output: str) -> ExitCode:
    """List the installed packs, and check their files.

    Exit code 4 when one of them cannot be used.
    """
    view = render.View(output)
    found = [_checked(path) for path in packs.installed(folder)]
    if view.json:
        view.document({"packs": found})
    elif not found:
        view.say(_NONE.format(folder=folder))
    else:
        view.table(
            ("pack", "size", "licence stated", "faces as", "trained on", "source", "state"),
            [
                (
                    str(pack["name"]),
                    render.size(sum(file["sizeBytes"] for file in pack["files"])),
                    str(pack["licence"]),
                    str(pack["recogniserInput"]["colourOrder"]),
                    str(pack["trainingData"]["recogniser"]["data"]),
                    str(pack["source"]),
                    str(pack["problem"] or "ok"),
                )
                for pack in found
            ],
            optional=("source", "faces as"),
        )
    damaged = any(pack["problem"] for pack in found)
    if damaged and not view.json:
        view.say("`homeward model install --force` installs a pack again.")
    return ExitCode.INVALID if damaged else ExitCode.OK


@model.command("show", examples=["homeward model show"])
@connected
def show(session: Session) -> None:
    """Show the models that the embedding service runs.

    With what runs them, their digest, files, licences and the data that trained them. A licence to
    use weights says nothing of what they were trained on, nor of whom they recognise well.
    """
    stub = EmbeddingServiceStub(session.connections.channel("embedding"))
    used = stub.GetModel(embedding_service_pb2.GetModelRequest()).model
    if session.view.json:
        session.view.document({"model": used})
        return
    session.view.details(
        [
            ("model", used.name),
            ("digest", used.digest),
            ("template", f"{used.template_size} values"),
            ("detector on", used.detector_runtime),
            ("recogniser on", used.recogniser_runtime),
        ]
    )
    session.view.say()
    session.view.table(
        ("role", "file", "licence", "trained on", "sha256"),
        [
            (
                file.role,
                file.name,
                file.licence,
                file.training_data or pack_manifest.NOT_DOCUMENTED,
                file.sha256,
            )
            for file in used.files
        ],
        optional=("sha256",),
    )
    for file in used.files:
        if file.training_data_source:
            session.view.say(f"Of the {file.role}'s training data: {file.training_data_source}.")


@model.command(
    "install",
    examples=[
        "homeward model install ~/.insightface/models/buffalo_l",
        'homeward model install antelopev2.zip --licence "agreed with the owner on 2026-10-01"',
        "homeward model install https://models.example/pack.zip --sha256 5b9e... --name force-1",
        "homeward model install ~/adaface_ir101 --family adaface \\",
        "    --training-data recogniser=WebFace12M --licence 'agreed with the owner'",
    ],
)
@_local
@click.argument("source", metavar="PATH|URL")
@click.option("--name", default="", help="What to call the pack. [default: as the source]")
@click.option("--sha256", default="", metavar="HEX", help="Of the zip file. A URL needs it.")
@click.option(
    "--licence", default="", metavar="TEXT",
    help="Under which you use the weights; kept with them, and shown by `list`.",
)  # fmt: skip
@click.option(
    "--family",
    type=click.Choice(sorted(pack_manifest.FAMILIES)),
    default="insightface",
    show_default=True,
    help="Of which kind its recogniser is: how it takes pictures.",
)
@click.option(
    "--training-data",
    "stated",
    multiple=True,
    metavar="ROLE=TEXT",
    help="What the detector or the recogniser was trained on, as far as you know.",
)
@click.option("--force", is_flag=True, help="Replace the pack of this name.")
def install(
    *,
    source: str,
    name: str,
    sha256: str,
    licence: str,
    family: str,
    stated: tuple[str, ...],
    force: bool,
    folder: Path,
    output: str,
) -> None:
    """Install a pack from a folder, zip file or https URL.

    Weights have licences of their own, which are yours to know and to keep: InsightFace's public
    ones are for non-commercial research only. Nothing is fetched from the net without --sha256, and
    nothing is unpacked that is not the file it names.

    A model does not say in which order it takes colours: a wrong --family costs accuracy, and
    nothing else shows it. docs/licensed-models.md goes through all steps.
    """
    view = render.View(output)
    manifest = pack_manifest.FAMILIES[family].stating(dict(map(_statement, stated)))
    with _as_ours(), progress.shown("installing") as bar:
        pack = packs.install(
            source,
            folder=folder,
            name=name,
            sha256=sha256,
            licence=licence,
            manifest=manifest,
            replace=force,
            show=lambda done, total: bar(done, total, render.size(done)),
        )
    if view.json:
        view.document({"pack": _plain(pack)})
        return
    view.say(f"Installed {pack.name} in {pack.folder}: {len(pack.files)} files.")
    runner = "onnx" if manifest.recogniser_alone else "insightface"
    view.say(f"Its recogniser takes faces as {manifest.recogniser_input.words()} ({family}).")
    for role in pack_manifest.ROLES[len(pack.files) < len(pack_manifest.ROLES) :]:
        view.say(f"The {role} was trained on: {manifest.trained_on(role).data}.")
    view.say(f"To use it: HOMEWARD_MODEL_PACK={runner}:{pack.name}, and the licence of its")
    view.say("weights in HOMEWARD_MODEL_LICENCE, in the environment of the embedding service.")


def _statement(text: str) -> tuple[str, str]:
    role, _, data = text.partition("=")
    if role not in pack_manifest.ROLES or not 1 <= len(data.strip()) <= pack_manifest.MOST_TEXT:
        raise click.UsageError(
            f"--training-data {text!r} is not like recogniser=WebFace12M: detector or recogniser,"
            f" =, and 1 to {pack_manifest.MOST_TEXT} characters"
        )
    return role, data


def _checked(folder: Path) -> dict[str, Any]:
    try:
        pack = packs.find(folder.name, folder.parent)
        for file in pack.files:
            pack.read(file)
    except packs.PackError as error:
        return _plain(packs.Pack(folder, ())) | {"problem": str(error)}
    return _plain(pack) | {"problem": ""}


def _plain(pack: packs.Pack) -> dict[str, Any]:
    return {
        "name": pack.name,
        "source": pack.source,
        "licence": pack.licence,
        "recogniserInput": {
            "colourOrder": pack.manifest.recogniser_input.colour_order,
            "mean": pack.manifest.recogniser_input.mean,
            "scale": pack.manifest.recogniser_input.scale,
            "sidePx": pack.manifest.recogniser_input.side_px,
            "templateSize": pack.manifest.recogniser_input.template_size,
            "normalised": pack.manifest.recogniser_input.normalised,
        },
        "trainingData": {
            role: asdict(pack.manifest.trained_on(role)) for role in pack_manifest.ROLES
        },
        "files": [
            {"name": file.name, "sha256": file.sha256, "sizeBytes": file.size_bytes}
            for file in pack.files
        ],
    }


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except packs.PackError as error:
        exists = isinstance(error, packs.PackExistsError)
        raise CliError(
            error.message,
            exit_code=ExitCode.CONFLICT if exists else ExitCode.INVALID,
            advice=error.remedy,
        ) from error
