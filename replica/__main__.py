"""The command line: `replica COMMAND`, or `python -m replica COMMAND`."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from replica.commands import git
from replica.common import kernels, parameters, processes
from replica.common.errors import UserError, shown, told

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False, help=__doc__, add_completion=True
)

assignment = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(assignment, name="assignment", help="Exercises for a class: hand out, collect, grade (docs/class.md).")


def complete(incomplete: str) -> list[str]:
    """The declared variants, for the shell's completion."""
    try:
        return [name for name in parameters.read()["variants"] if name.startswith(incomplete)]
    except UserError:
        return []


@app.command()
def check() -> None:
    """Check params.yaml and datasets.yaml as a whole, before anything runs.

    One line on what was checked; else a line a mistake (entry, key, what was got, what is allowed), exit status 1.

    Example: `replica check && dvc repro`
    """
    if "DVC_EXP_NAME" in os.environ:
        from replica.commands import restorable

        restorable.forget(Path())
    if "DVC_STAGE" in os.environ and processes.PARENT not in os.environ:  # DVC's own run: the driver sees what is kept
        from replica.commands import room

        room.ask(Path())
    declared = parameters.declared()
    check_all(declared)
    if "DVC_STAGE" not in os.environ:
        counted = [f"{len(declared.get(section) or {})} {section}" for section in ("datasets", "variants", "searches")]
        print(f"all is well: {', '.join(counted)}")


@app.command()
def repair() -> None:
    """Put right what a kill has left of DVC's own files: a dvc.lock cut short, an unreadable .dvc/tmp/rwlock.

    `replica check` and `replica repro` do so by themselves; `dvc repro` reads the second before anything of ours runs.

    Example: `replica repair && dvc repro`
    """
    from replica.commands import repair

    repair.report(parameters.declared())


@app.command()
def variants(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Variants to show layer by layer; none: all, a line each.", autocompletion=complete),
    ] = None,
) -> None:
    """Show the declared variants: all of them a line each, or some layer by layer with the arithmetic of parameters.

    Examples: `replica variants`, `replica variants mnist_cnn`
    """
    from replica.commands import overview

    overview.show(parameters.declared(), names or [])


@app.command()
def table(
    names: Annotated[
        list[str] | None, typer.Argument(help="Variants, or `sample` for the quick start's.", autocompletion=complete)
    ] = None,
) -> None:
    """Print the results: test accuracy with its 95% interval, the dummy's, parameters, and seconds.

    Examples: `replica table`, `replica table sample`, `replica table mnist_mlp mnist_cnn`
    """
    from replica.commands import overview

    overview.results(parameters.declared(), names or [])


@app.command()
def repro(
    targets: Annotated[list[str] | None, typer.Argument(help="Stages, as `dvc repro` takes them; none: all.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Stages at once; as many as cores.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Run every stage, changed or not.")] = False,
    cluster: Annotated[
        str | None, typer.Option(help="Each stage on a node with a clone of its own: local, ssh, slurm or kubernetes.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="The same, by a dask scheduler that runs: tls://host:8786.")
    ] = None,
    hosts: Annotated[str | None, typer.Option(help="For --cluster ssh: one,two,three.")] = None,
    remote: Annotated[
        str | None, typer.Option("--remote", "-r", help="The DVC remote that nodes reach; the default one.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Another machine's scheduler without TLS.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set-param", "-S", metavar="KEY=VALUE", help="Override, and keep the result as an experiment."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Of the experiment; none: DVC makes one.")] = None,
) -> None:
    """Reproduce like `dvc repro`, several stages at once: the same stages, dvc.lock and bytes.

    With `-S` like `dvc exp run`, whose experiments these are; one that fails or is stopped leaves params.yaml alone.

    Examples: `replica repro`, `replica repro sample --jobs 2`,
    `replica repro sample -S variants.mnist_5k_mlp.epochs=5`
    """
    from replica.commands import experiment
    from replica.commands.repro import reproduce

    if name and not overrides:
        raise UserError("--name: is an experiment's; it goes with -S")
    if warning := kernels.cpu().warning:
        print(f"warning: {warning}", file=sys.stderr)
    # The stages start as `python -m …`: this environment's, also where it has not been activated.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    options: dict[str, Any] = {"jobs": jobs, "force": force}

    def check() -> None:
        check_all(parameters.declared())

    if cluster or scheduler:
        from replica.commands.cluster import command

        if overrides:
            raise UserError("--set-param: not on a cluster; edit params.yaml, whose changes travel without a commit")
        check()
        sys.exit(command.run(targets or [], cluster, scheduler, hosts, remote, insecure, **options))
    if hosts or remote or insecure:
        raise UserError("--hosts, --remote, --insecure: go with --cluster or --scheduler")
    if overrides:
        sys.exit(experiment.run(overrides, targets or [], name, check, **options))
    sys.exit(reproduce(targets or [], check=check, **options))


@app.command()
def worker(
    address: Annotated[str, typer.Argument(help="The dask scheduler's, such as tls://host:8786.")],
    threads: Annotated[int | None, typer.Option(min=1, help="Stages at once; as many as cores.")] = None,
    memory: Annotated[float | None, typer.Option(min=1, help="MiB for all of them; the machine's.")] = None,
    folder: Annotated[Path | None, typer.Option(help="On this machine's own disk; dask's temporary-directory.")] = None,
    key: Annotated[str | None, typer.Option(help="-: the certificate comes by standard input.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Another machine's scheduler without TLS.")] = False,
) -> None:
    """Run stages here for `replica repro --scheduler`, until told to end; outlives its scheduler.

    Example: `DASK_CONFIG=certificates replica worker tls://host:8786`
    """
    from replica.commands.cluster.worker import work

    work(address, threads, memory, folder, key, insecure)


@app.command()
def certificates(folder: Annotated[Path, typer.Argument(help="A new one, for all that take part.")]) -> None:
    """Make a certificate and a key for a cluster's scheduler, workers and drivers, and dask's configuration for them.

    Example: `replica certificates certificates`
    """
    from replica.commands.cluster import engines, security

    for path in security.make(folder, engines.PATIENT):
        print(path)


@app.command()
def dataset(
    name: Annotated[str, typer.Argument(help="Its name in datasets.yaml.")],
    path: Annotated[str, typer.Argument(help="A folder of images, a subfolder a class, or an .npz file.")],
    update: Annotated[bool, typer.Option("--update", help="Look again: the data have changed.")] = False,
    kind: Annotated[str | None, typer.Option(help="images or arrays; none: as PATH looks.")] = None,
    shape: Annotated[str | None, typer.Option(help="Of a picture: height,width,channels, such as 32,32,3.")] = None,
    test_share: Annotated[float | None, typer.Option(help="Of each class, where the data come unsplit; 0.2.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the split and the order; 0.")] = None,
    names: Annotated[str | None, typer.Option(help="A file's own, such as x=images,y=labels.")] = None,
    classes: Annotated[str | None, typer.Option(help="Of a file's labels 0, 1, …, such as cat,dog.")] = None,
) -> None:
    """Declare data of your own in datasets.yaml: looks at them, and adds the whole entry.

    Examples: `replica dataset flowers own/flowers --shape 32,32,3`, `replica dataset letters letters.npz`
    """
    from replica.commands import dataset

    settings = dataset.settings(shape, test_share, seed, names, classes)
    print(dataset.declare(name, path, update, kind, settings))


@app.command()
def predict(
    variant: Annotated[str, typer.Argument(help="A trained one; its first seed answers.", autocompletion=complete)],
    files: Annotated[list[str], typer.Argument(metavar="PICTURE...", help="PNG, JPEG, GIF, BMP or WebP.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every class's probability, as JSON.")] = False,
) -> None:
    """Ask a trained variant what is in your pictures.

    Examples: `replica predict mnist_5k_cnn digit.png`, `replica predict cifar10_four_conv *.jpg --json`
    """
    from replica.commands.predict import predict as asked

    asked.show(asked.predict(variant, files), as_json)


@app.command()
def serve(
    variant: Annotated[str, typer.Argument(help="A trained one; its first seed answers.", autocompletion=complete)],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
) -> None:
    """Open a page on this machine to draw or drop a picture, and see what a trained variant makes of it.

    Examples: `replica serve mnist_5k_cnn`, `replica serve cifar10_four_conv --port 0`
    """
    from replica.commands.predict import serve as page

    page.serve(variant, port)


@app.command()
def sweep(
    variant: Annotated[str, typer.Argument(help="The variant to search.", autocompletion=complete)],
    settings: Annotated[
        list[str], typer.Option("--set", "-S", metavar="KEY=DOMAIN", help="What to draw, or a value for all trials.")
    ],
    trials: Annotated[int | None, typer.Option(help="How many in all; 20, or a grid's combinations.")] = None,
    sampler: Annotated[str, typer.Option(help="tpe (Bayesian), random or grid.")] = "tpe",
    prune: Annotated[bool, typer.Option("--prune", help="Stop trials that stay below the others' median.")] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Trials at once; as many as cores.")] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Of the experiments; VARIANT-SAMPLER.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="At the end keep the best and score it, once.")] = False,
    cluster: Annotated[str | None, typer.Option(help="Train on nodes: local, ssh, slurm or kubernetes.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Train on nodes of a dask scheduler that runs.")] = None,
    hosts: Annotated[str | None, typer.Option(help="For --cluster ssh: one,two,three.")] = None,
    remote: Annotated[str | None, typer.Option("--remote", "-r", help="The DVC remote that nodes reach.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Another machine's scheduler without TLS.")] = False,
) -> None:
    """Search a variant's parameters: each trial a DVC experiment, chosen by validation accuracy.

    Domains: `uniform(low,high)`, `log(low,high)`, `int(low,high)`, `logint(low,high)`, `choice(a,b,…)`; keys are those
    below the variant. The same command goes on where a stopped sweep was.

    Examples:
    `replica sweep mnist_5k_mlp -S 'learning_rate=log(1e-3,1)' -S epochs=5 --trials 10`,
    `replica sweep mnist_5k_mlp -S units=32,64,128 --sampler grid --jobs 2`
    """
    from replica.commands.sweep.sweep import sweep as run

    # Trials start as `python -m …`, as the stages do.
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    options: dict[str, Any] = {}
    if cluster or scheduler:
        from replica.commands.cluster import command

        if prune:
            raise UserError("--prune: not on a cluster, where a trial's curve is seen at its end")
        options = {"connect": command.connect(cluster, scheduler, hosts, insecure, jobs), "remote": remote}
    sys.exit(run(variant, settings, trials, sampler, prune, jobs, seed, name, apply, **options))


@app.command()
def compare(
    before: Annotated[str, typer.Argument(metavar="REV", help="A branch, tag, commit or experiment.")],
    after: Annotated[str, typer.Argument(metavar="REV", help="Another; none: the files as they lie.")] = "workspace",
    everything: Annotated[bool, typer.Option("--all", help="Show the variants that are the same, too.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: every variant, every figure.")] = False,
) -> None:
    """Compare two revisions: test accuracies with intervals, which differ beyond noise, and what was changed.

    Examples: `replica compare HEAD`, `replica compare main my-experiment`, `replica compare main --markdown`
    """
    from replica.commands.compare import tables
    from replica.commands.compare.compare import compare as compared

    if markdown and as_json:
        raise UserError("replica compare: got --json and --markdown; allowed: one of them")
    found = compared(before, after)
    if as_json:
        print(tables.dump(found))
    elif markdown:
        print(tables.markdown(found, everything))
    else:
        tables.show(found, everything)


@app.command()
def experiments(
    rev: Annotated[str, typer.Argument(metavar="REV", help="The commit that they start from.")] = "HEAD",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with intervals.")] = False,
) -> None:
    """List a commit's experiments: what each changed, and what it reached, beside the commit's own scores.

    Examples: `replica experiments`, `replica experiments main --markdown`
    """
    from replica.commands.compare import experiments

    print(experiments.told(rev, markdown, as_json), end="")


@app.command()
def pull(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="VARIANT", help="None: list what can be pulled.", autocompletion=complete),
    ] = None,
    remote: Annotated[str | None, typer.Option("--remote", "-r", help="One of DVC's remotes; the default one.")] = None,
) -> None:
    """Get trained models, and the arrays, from a DVC remote: results without training.

    Every file is held to the MD5 that dvc.lock leads to. Where nothing is published yet, it says what training takes.

    Examples: `replica pull`, `replica pull mnist_cnn cifar10_four_conv`
    """
    from replica.commands.pull import pull

    pull.pull(names or [], remote)


@app.command()
def apply(
    name: Annotated[str, typer.Argument(help="An experiment's name or hash; HEAD: the last commit.")],
) -> None:
    """Put an experiment into the working folder: its files, and its models as far as DVC's cache holds them.

    As `dvc exp apply`, but in a clone that has not trained everything, too, and nothing uncommitted is lost.

    Examples: `replica apply narrow`, `replica apply HEAD`
    """
    from replica.commands import apply

    apply.apply(name)


@app.command()
def verify(
    targets: Annotated[list[str] | None, typer.Argument(help="Stages or variants; none: the quick start's.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that dvc.lock records.")] = False,
    form: Annotated[str, typer.Option("--format", help="text, json or markdown.")] = "text",
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", help="Stages at once; as many as cores.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Write what came out to witnesses/.")] = False,
    who: Annotated[str | None, typer.Option(help="A name for --record.")] = None,
    written: Annotated[bool, typer.Option("--written", help="Train nothing: one line on what lies here.")] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Instead, print the table of witnesses/.")] = False,
    emulate: Annotated[
        str | None, typer.Option(metavar="CPU", help="All on a CPU that QEMU emulates, such as Haswell.")
    ] = None,
) -> None:
    """Train and evaluate again in a scratch copy of the last commit: does the same come out, byte for byte?

    Exit status: 0, the same bytes; 3, other bytes, the same results; 1, other results.

    Examples: `replica verify`, `replica verify mnist_mlp --format json`, `replica verify --record --who Ada`
    """
    from replica.commands.verify import command

    sys.exit(command.main(targets or [], everything, form, jobs, record, who, written, matrix, emulate))


@app.command()
def plots(
    targets: Annotated[list[str] | None, typer.Argument(help="As `dvc plots show` takes them; none: all.")] = None,
    suffix: Annotated[str, typer.Option("--format", help="png or svg.")] = "png",
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")] = Path("plots/rendered"),
    revs: Annotated[list[str] | None, typer.Option("--rev", help="A revision to lay over others.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Instead, put Vega into the pages that `dvc plots` writes from now on.")
    ] = False,
) -> None:
    """Draw what `dvc plots` shows as PNG or SVG files, without a network or a browser.

    Examples: `replica plots`, `replica plots plots/variants/mnist_mlp/history.csv --format svg`,
    `replica plots --rev main --rev workspace`, `replica plots --offline`
    """
    from replica.commands import plots

    if offline:
        print(f"{plots.offline()}: pages of `dvc plots` need no network now")
        return
    for file in plots.render(targets or [], revs or [], suffix, output):
        print(file)


@app.command()
def clean(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Variants or searches to begin anew; none: what is not declared.", autocompletion=complete),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove it; without, it is listed alone.")] = False,
) -> None:
    """List models, live files, seconds and figures that can go, with sizes and reasons; remove them only with --yes.

    What git holds is never touched. Without names: of what is no longer declared, and what a command draws anew.

    Examples: `replica clean`, `replica clean mnist_5k_mlp --yes`
    """
    from replica.commands import clean as cleaning

    cleaning.clean(parameters.declared(), names or [], yes)


@app.command()
def seconds() -> None:
    """Record this machine's seconds of training in benchmarks/seconds.csv, for the page to show. Commit it on purpose.

    Run it after a full `dvc repro` on a quiet machine.

    Example: `dvc repro && replica seconds`
    """
    from replica.training import timings

    declared = parameters.read()
    names = [*declared["variants"], *(declared.get("searches") or {})]
    count = timings.publish(names, Path("timings"), Path("benchmarks/seconds.csv"))
    print(f"benchmarks/seconds.csv: {count} of {len(names)} measured here")


@app.command()
def release() -> None:
    """Write what goes with a release: badges/*.svg, and ro-crate-metadata.json of the results that dvc.lock records.

    Example: `replica release && git add badges`
    """
    from replica.commands.release import badges, crate

    badges.values()  # what is refused is so before any file is written
    described = crate.write()
    for file in [*badges.write(), described]:
        print(file)


@assignment.command("list")
def assignment_list() -> None:
    """List the assignments that come with the project.

    Example: `replica assignment list`
    """
    from replica.commands.assignment import command

    command.listed()


@assignment.command("new")
def assignment_new(
    name: Annotated[str, typer.Argument(help="An assignment, or the path of a YAML file of your own.")],
    folder: Annotated[Path, typer.Argument(help="Where its starter repository is to be.")],
    student: Annotated[str, typer.Option(help="Whom to deal numbers of their own; none: the same for all.")] = "",
) -> None:
    """Write an assignment's starter: a git and DVC repository with its questions, to hand out.

    Examples: `replica assignment new dense ../ada --student ada`
    """
    from replica.commands.assignment import command

    command.new(name, folder, student)


@assignment.command("hide")
def assignment_hide(
    name: Annotated[str, typer.Argument(help="An assignment, or the path of a YAML file of your own.")],
    file: Annotated[Path, typer.Argument(help="A new file, which you keep.")],
) -> None:
    """Draw the seeds and the images that the grader uses and students do not know.

    Example: `replica assignment hide dense ../hidden.yaml`
    """
    from replica.commands.assignment import command

    command.hide(name, file)


@assignment.command("grade")
def assignment_grade(
    name: Annotated[str, typer.Argument(help="An assignment, or the path of a YAML file of your own.")],
    submissions: Annotated[list[Path], typer.Argument(help="Folders as students handed them in.")],
    student: Annotated[str, typer.Option(help="Whose it is; none: as its answers.yaml says.")] = "",
    hidden: Annotated[Path | None, typer.Option(help="What `replica assignment hide` has drawn.")] = None,
    form: Annotated[str, typer.Option("--format", help="text, gradescope or github.")] = "text",
) -> None:
    """Grade submissions: train what they declare, and hold what they claim to the interval over seeds.

    A submission is read as data; none of its code is run. Exit status 0, whatever the grade.

    Examples: `replica assignment grade dense ../ada --hidden ../hidden.yaml`,
    `replica assignment grade dense . --format gradescope`
    """
    from replica.commands.assignment import command

    command.grade(name, submissions, student, hidden, form)


def check_all(declared: dict[str, Any]) -> None:
    """Check what is declared and, unless a stage asks, one's own data: a stage works on the copy that was declared."""
    from replica.commands import repair
    from replica.schema import check

    repair.mend(declared)
    check.check(declared)
    if "DVC_STAGE" not in os.environ and any("path" in entry for entry in declared["datasets"].values()):
        from replica.commands import dataset

        dataset.check_own(declared)


def main() -> None:
    """Run a command; a user's mistake is one line a mistake, and exit status 1."""
    for name in git.HANDED:
        os.environ.pop(name, None)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:  # a container's number without a name, which DVC asks for
        os.environ.setdefault("USER", str(os.getuid()))
        os.environ.setdefault("HOME", "/")
    try:
        app()
    except UserError as error:
        sys.exit(shown(error))
    except Exception as error:
        if (line := told(error)) is None:
            raise
        sys.exit(shown(line))


if __name__ == "__main__":
    main()
