"""vetset lists: import, update, compare and decide; values are never shown."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vetset.cli.decisions import feedback, quarantine, read_feedback, release
from vetset.cli.list_text import (
    HARMS,
    Accept,
    AsOf,
    CategoryOption,
    DryRun,
    Expires,
    FormatOption,
    Ignored,
    KindOption,
    LicenceOption,
    Name,
    OwnerOption,
    PurposeOption,
    SignatureOption,
    SignerOption,
    changed,
    intake_told,
    line,
    told,
)
from vetset.cli.options import Json
from vetset.cli.output import Pages, emit

app = typer.Typer(
    help="Bring hash lists in, keep them up to date, see what is there; values are never shown.", no_args_is_help=True
)


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="What the owner gave: text, CSV, XML or JSON (docs/lists.md).")],
    name: Annotated[str, typer.Option("--name", help="What to call it here.", show_default=False)],
    category: CategoryOption = None,
    licence: LicenceOption = None,
    owner: OwnerOption = None,
    as_of: AsOf = None,
    purpose: PurposeOption = None,
    expires: Expires = None,
    kind: KindOption = None,
    list_format: FormatOption = None,
    ignore: Ignored = None,
    private_counts: Annotated[
        bool, typer.Option("--private-counts", help="Its licence forbids telling numbers of matches beside its name.")
    ] = False,
    pdq_radius: Annotated[
        int | None,
        typer.Option("--pdq-radius", min=0, max=31, help="Greatest PDQ distance its owner wants.", show_default=False),
    ] = None,
    signature: SignatureOption = None,
    signer: SignerOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Supersede the list of this name.")] = False,
    as_json: Json = False,
) -> None:
    """Import an owner's whole list. It is checked whole, vetted, then kept encrypted under $VETSET_HOME (~/.vetset).

    Entries of pictures that are known to be benign (--category benign lists) are set apart. What a signed list says of
    itself (harm, owner, dates, terms) need not be said again; of one that is not signed, --category and --licence are
    needed. Delete FILE afterwards.
    """
    from vetset.api.listing import add_list

    intake = add_list(
        file,
        name=name,
        owner=owner,
        category=category,
        licence=licence,
        as_of=as_of,
        purpose=purpose,
        expires=expires,
        kind=kind,
        list_format=list_format,
        ignore=ignore or (),
        share_counts=not private_counts,
        pdq_radius=pdq_radius,
        signature=signature,
        signer=signer,
        replace=replace,
    )
    emit(intake_told(intake), changed(intake), as_json=as_json)


@app.command("update")
def update(
    name: Name,
    file: Annotated[Path, typer.Argument(help="What changed: entries that are new, changed or taken back.")],
    as_of: AsOf = None,
    whole: Annotated[bool, typer.Option("--whole", help="FILE is the whole list: what is absent was taken back.")] = (
        False
    ),
    expires: Expires = None,
    licence: LicenceOption = None,
    kind: KindOption = None,
    list_format: FormatOption = None,
    ignore: Ignored = None,
    signature: SignatureOption = None,
    signer: SignerOption = None,
    accept: Accept = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring an owner's changes into a list, all of them or none, and tell them in numbers.

    What is not said of the list stays as it is, except its date, which is needed unless the owner signed it with FILE.
    Afterwards `vetset recheck AUDIT` holds the new version against what was scanned, without reading a picture.
    """
    from vetset.api.listing import update_list

    intake = update_list(
        file,
        name=name,
        as_of=as_of,
        expires=expires,
        licence=licence,
        whole=whole,
        kind=kind,
        list_format=list_format,
        ignore=ignore or (),
        signature=signature,
        signer=signer,
        accept=accept,
        dry_run=dry_run,
    )
    emit(intake_told(intake), changed(intake), as_json=as_json)


@app.command("sync")
def sync(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the list is called here.", show_default=False)],
    service: Annotated[
        str,
        typer.Option(
            "--from", help="ncmec:ENVIRONMENT, stopncii or techagainst; needed the first time.", show_default=False
        ),
    ] = "",
    licence: Annotated[
        str, typer.Option("--licence", help="Under what terms; needed the first time.", show_default=False)
    ] = "",
    purpose: Annotated[
        str, typer.Option("--purpose", help="What it may be used for: words, commas between.", show_default=False)
    ] = "",
    expires: Annotated[str, typer.Option("--expires", help="Last day of use, YYYY-MM-DD.", show_default=False)] = "",
    private_counts: Annotated[
        bool, typer.Option("--private-counts", help="Its licence forbids telling numbers of matches beside its name.")
    ] = False,
    address: Annotated[
        str, typer.Option("--address", help="Where the service is, if not where its owner says.", show_default=False)
    ] = "",
    full: Annotated[bool, typer.Option("--full", help="Fetch everything anew; what is not there was taken back.")] = (
        False
    ),
    accept: Accept = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring a list up to what its owner's service says, or begin one. An interrupted sync goes on where it was.

    Credentials come from $VETSET_NCMEC_CREDENTIALS and the like, or from $VETSET_HOME/credentials (docs/lists.md).
    Afterwards `vetset recheck AUDIT` holds the new version against what was scanned.
    """
    from vetset.api.syncing import sync_list

    intake = sync_list(
        name,
        service=service,
        licence=licence,
        purpose=purpose,
        expires=expires,
        share_counts=False if private_counts else None,
        address=address,
        full=full,
        accept=accept,
        dry_run=dry_run,
        progress=None if as_json else Pages(),
    )
    emit(intake_told(intake), changed(intake), as_json=as_json)


@app.command("benign")
def benign(
    folder: Annotated[Path, typer.Argument(help="Pictures of yours that must never match, and nothing else.")],
    name: Annotated[str, typer.Option("--name", help="What to call the list.", show_default=False)],
    replace: Annotated[bool, typer.Option("--replace", help="Supersede the list of this name.")] = False,
    as_json: Json = False,
) -> None:
    """Make a list of lawful pictures (famous ones, logos, templates) that other lists are vetted against.

    They are when they are added or changed, so that this list comes first.
    """
    from vetset.api.listing import add_benign

    intake = add_benign(folder, name=name, replace=replace)
    emit(intake_told(intake), changed(intake), as_json=as_json)


@app.command("show")
def show(as_json: Json = False) -> None:
    """Show what is known of every imported list; never a value."""
    from vetset.api.listing import lists

    infos = lists()
    lines = [line(info) for info in infos] or ["no list yet; import one with `vetset lists add`"]
    emit([told(info) for info in infos], lines, as_json=as_json)


@app.command("decisions")
def decisions(name: Name, as_json: Json = False) -> None:
    """Show which entries were set apart or released, when and why: by vetting, or by you; never a value."""
    from vetset.api.listing import list_decisions

    made = list_decisions(name)
    lines = [
        f"{each['state']} on {each['on']}: {', '.join(each['entries']) or 'an entry that was taken back'} "
        f"({each['kind']}): {each['reason']}"
        for each in made
    ]
    emit(made, lines or ["nothing was decided about its entries"], as_json=as_json)


@app.command("overlap")
def overlap(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Lists of one category.", show_default=False)],
    as_json: Json = False,
) -> None:
    """How many values so many independent owners agree about, kind by kind."""
    from vetset.api.listing import overlap_lists

    found = overlap_lists(names)
    lines = []
    for kind, numbers in found.items():
        owners: Any = numbers["by_owners"]
        alone: Any = numbers["of_one_owner_alone"]
        agreed = ", ".join(f"{count} by {number}" for number, count in owners.items() if count)
        only = ", ".join(f"{name} {count}" for name, count in alone.items())
        lines.append(f"{kind}: {numbers['distinct']} values, owners: {agreed}; with no other owner: {only}")
    emit(found, lines or ["no kind of value in them"], as_json=as_json)


@app.command("remove")
def remove(name: Name, as_json: Json = False) -> None:
    """Forget a list, for instance when the right to use it ends. Its bytes may stay on the disk, encrypted."""
    from vetset.api.listing import remove_list

    remove_list(name)
    emit({"removed": name}, [f"removed {name}"], as_json=as_json)


@app.command("sign")
def sign(
    file: Annotated[Path, typer.Argument(help="The list, as it will be given away.")],
    key: Annotated[Path, typer.Option("--key", help="Your private key, NAME.key.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Where the signature goes.", show_default=False)],
    owner: Annotated[str, typer.Option("--owner", help="Your name, as owner.", show_default=False)],
    category: Annotated[str, typer.Option("--category", help=HARMS, show_default=False)],
    as_of: Annotated[str, typer.Option("--as-of", help="Date of the list's state, YYYY-MM-DD.", show_default=False)],
    changes: Annotated[bool, typer.Option("--changes", help="FILE is what changed, not the whole list.")] = False,
    licence: LicenceOption = None,
    purpose: PurposeOption = None,
    expires: Expires = None,
    as_json: Json = False,
) -> None:
    """Sign a list as its owner, with what you say of it: whose it is, which harm, of what day, under what terms.

    Whoever imports it then knows that it is whole, and can call it nothing else. Terms, purpose and expiry that you do
    not say are left to them.
    """
    from vetset.api.listing import sign_list

    written = sign_list(
        file,
        key,
        out,
        owner=owner,
        category=category,
        as_of=as_of,
        whole=not changes,
        licence=licence,
        purpose=purpose,
        expires=expires,
    )
    emit({"signature": str(written)}, [f"signature: {written}"], as_json=as_json)


for _name, _command in (
    ("quarantine", quarantine),
    ("release", release),
    ("feedback", feedback),
    ("read-feedback", read_feedback),
):
    app.command(_name)(_command)
