"""The posed views of many objects in a few files, each object one record, any of them read at once.

    python -m training.views.shards pack --views data/views/train --out data/shards/train --manifest data/manifest.jsonl
    python -m training.views.shards verify data/shards/train      # names each damaged record; exit status 1 if there is one
    python -m training.views.shards list data/shards/train        # a line a record
    python -m training.views.shards sheet data/shards/train       # 00000.png beside 00000.array_record: look at them

Pack again after any interruption, and whenever there are new views: a shard that exists is whole, an object that is in
one is skipped. To make a damaged shard again, delete its two files and pack. Do not pack into a folder that a run is
reading: what a seed draws depends on what is there.
"""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from ...exit_status import NOT_ALL_DONE, exit_status
from ...objects.manifest import UNKNOWN, read_origins
from .folder import read_index, shard_files
from .inspection import draw_sheet, find_damage, known_shards
from .pack import pack


@dataclass
class Pack:
    """Pack a folder of .npz views into shards; what is packed already is skipped."""

    views: Path
    """Folder of the .npz files that training.render and training.procedural write."""
    out: Path
    """Folder for the shards."""
    manifest: Path | None = None
    """Whose the objects are: JSON lines or a JSON list, with name, licence, author, address, sha256, split."""
    objects_per_shard: int = 64
    """At most; 64 objects of 32 views at 512 px are about 100 MB."""
    whole_shards_only: bool = False
    """Leave what fills no shard for a later call: for packing while views are still being rendered."""
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    """For encoding."""

    def run(self) -> int:
        origins = read_origins(self.manifest) if self.manifest else None
        packed = pack(self.views, self.out, origins, self.objects_per_shard, self.whole_shards_only, self.threads)
        print(f"{self.out}: {packed} objects packed, {len(shard_files(self.out))} shards in all")
        return 0


@dataclass
class Verify:
    """Read every record and name the damaged ones; the exit status is 1 if there is one."""

    folder: tyro.conf.Positional[Path]
    """Folder of shards."""

    def run(self) -> int:
        shards, damages = known_shards(self.folder), 0
        for shard in tqdm(shards, unit="shard"):
            for damage in find_damage(shard):
                tqdm.write(damage, file=sys.stdout)
                damages += 1
        print(f"{self.folder}: {len(shards)} shards, {f'{damages} things wrong' if damages else 'all whole'}")
        return NOT_ALL_DONE if damages else 0


@dataclass
class List:
    """Print a line for each record: name, shard, position, views, size, bytes, licence."""

    folder: tyro.conf.Positional[Path]
    """Folder of shards."""

    def run(self) -> int:
        entries = [entry for shard in known_shards(self.folder) for entry in read_index(shard)]
        for one in entries:
            print(one.name, one.shard, one.position, one.views, f"{one.size} px", one.bytes, one.licence, sep="\t")
        licences = Counter(entry.licence or UNKNOWN for entry in entries)
        counts = ", ".join(f"{count} {licence}" for licence, count in licences.most_common())
        megabytes = sum(entry.bytes for entry in entries) / 1e6
        print(f"{self.folder}: {len(entries)} objects (licences: {counts}), {megabytes:.1f} MB", file=sys.stderr)
        return 0


@dataclass
class Sheet:
    """Draw a contact sheet beside each shard: a row an object, a few of its views, its name and licence."""

    folder: tyro.conf.Positional[Path]
    """Folder of shards."""

    def run(self) -> int:
        for shard in tqdm(shard_files(self.folder), unit="shard"):
            draw_sheet(shard, shard.with_suffix(".png"))
        return 0


Command = (
    Annotated[Pack, tyro.conf.subcommand("pack")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Sheet, tyro.conf.subcommand("sheet")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status."""
    command = tyro.cli(Command, args=arguments, description=__doc__, config=(tyro.conf.OmitSubcommandPrefixes,))
    return exit_status(command.run)


if __name__ == "__main__":
    sys.exit(main())
