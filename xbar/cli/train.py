"""`xbar train`: train a network for the hardware, as a recipe says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xbar.cli.options import err, out
from xbar.errors import OutputError, XbarError

if TYPE_CHECKING:
    from xbar.training.recipe import Recipe
    from xbar.training.trainer import Epoch


def train(
    recipe: Annotated[
        str | None, typer.Argument(help="Name of a recipe, or path of a YAML file. Without one: the recipes.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the checkpoint, the trained model.pt2 and training.json."),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Other data than the recipe's, as for 'xbar run'.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Other seed than the recipe's.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            "-s",
            help="Change the recipe: path=value, as in its YAML, for example stages.0.epochs=2. Repeatable.",
            metavar="PATH=VALUE",
        ),
    ] = None,
) -> None:
    """Train a network for the hardware: methods and stages as a recipe says, with a checkpoint after every epoch.

    A training that was stopped goes on from its folder, with the same result as one that was not.

    [bold]Examples[/bold]

    xbar train bit_slice_l1_zhang_2019 --data mnist:PATH --out runs/slices

    xbar train my_recipe.yaml --out runs/mine --data mnist:PATH --set stages.0.epochs=2

    xbar run runs/slices/model.pt2 --data mnist:PATH
    """
    from xbar.sweep.grid import settings_of
    from xbar.training.recipe import list_recipes, load_recipe

    if recipe is None:
        for name in list_recipes():
            out.print(f"{name}: {load_recipe(name).citation}", highlight=False, soft_wrap=True)
        return
    changes = dict(settings_of(set_ or []))
    changes |= {} if data is None else {"data": data}
    changes |= {} if seed is None else {"seed": str(seed)}
    loaded = load_recipe(recipe, changes)
    if folder is None:
        raise XbarError("--out: a training needs a folder for checkpoint and model; add for example --out runs/mine")
    _train(loaded, folder)


def _train(recipe: Recipe, folder: Path) -> None:
    from xbar.demo.train import check_exportable, write
    from xbar.training.dry_run import try_model
    from xbar.training.tea import tea_structure
    from xbar.training.trainer import accuracy, zero_share

    model, record = folder / "model.pt2", folder / "training.json"
    _check_writable(folder, model, record)
    data, training = recipe.load_data(), recipe.training()
    if ":" in recipe.model:  # of the user's own
        try_model(training.model, data, recipe.batch, recipe.augment)
        check_exportable(training.model, data.test_images[:2])
    n_epochs = sum(stage.epochs for stage in recipe.stages)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("training", total=n_epochs)

        def told(epoch: Epoch) -> None:
            out.print(_line(epoch), highlight=False, soft_wrap=True)
            before = sum(stage.epochs for stage in recipe.stages[: epoch.stage])
            bar.update(task, completed=before + epoch.epoch + 1)

        history = training.run(data, folder, told)
    score = accuracy(training.model, data.test_images, data.test_labels)
    ranges = {name: value for m in training.methods.values() for name, value in m.input_ranges.items()}
    write(training.model.eval(), data.test_images[:2], str(model), ranges, tea_structure(training.model))
    figures = {
        "recipe": recipe.model_dump(mode="json"),
        "epochs": [asdict(epoch) for epoch in history],
        "accuracy": score,
        "zeros": zero_share(training.model),
        "input_ranges": ranges,
        "seconds": round(training.seconds, 1),
    }
    try:
        record.write_text(json.dumps(figures, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{record}: cannot be written ({error.strerror}); the model is in {model}") from error
    out.print(
        f"accuracy in float32 {score:.2%}, {figures['zeros']:.1%} of the weights are 0; {model}, {record}",
        highlight=False,
    )


def _check_writable(folder: Path, *files: Path) -> None:
    """OutputError where the results of hours could not be written in the end."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            file.open("ab").close()
            if not file.stat().st_size:
                file.unlink()
    except OSError as error:
        where = error.filename or folder
        raise OutputError(f"--out: {where} cannot be written ({error.strerror}); choose another folder") from error


def _line(epoch: Epoch) -> str:
    return (
        f"stage {epoch.stage + 1} epoch {epoch.epoch + 1:3d}: loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.2%}, "
        f"{epoch.zeros:.1%} of the weights are 0"
    )
