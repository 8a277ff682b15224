"""Going along a chain and seeing whether each record follows the one before. Pure."""

from collections.abc import Iterable, Mapping

from samovar.domains.audit.errors import ChainBroken
from samovar.domains.audit.model.checkpoints import ANCHOR, CHECKPOINT, Anchor, Checkpoint, PublicKey, is_signed
from samovar.domains.audit.model.records import Place, chained, genesis


class Walk:
    """Give it records and checkpoints in their order; each method raises :class:`ChainBroken` at the first fault.

    ``start`` is what the first record follows: the chain's beginning, or what ``anchor`` says was pruned last, or with
    ``is_part`` any record. ``keys`` are those whose signatures count. ``known`` are checkpoints that were kept elsewhere: the
    chain must go through each that lies after its start, and may not end before it.
    """

    def __init__(
        self,
        *,
        chain: str,
        start: Place,
        keys: Mapping[str, PublicKey],
        known: Iterable[Checkpoint] = (),
        anchor: Anchor | None = None,
        is_part: bool = False,
    ) -> None:
        self._chain = chain
        self._keys = keys
        self._is_whole = start.sequence == 0 or anchor is not None
        # Two that speak of one record differently were both signed: histories that forked. The chain can go through one of them.
        self._known: dict[int, list[Checkpoint]] = {}
        for checkpoint in known:
            self._check_signature(checkpoint)
            self._known.setdefault(checkpoint.sequence, []).append(checkpoint)
        self._sealed = start.sequence
        self.place = start
        self.records = 0
        self.checkpoints = 0
        if start.sequence == 0 and start.hash != genesis(chain):
            raise ChainBroken(f"The file does not begin where the chain {chain[:64]} begins.")
        if anchor is not None:
            self._check_anchor(anchor)
        elif start.sequence and not is_part:
            raise ChainBroken(
                f"The beginning is missing: the first record is {start.sequence + 1}, and no signed anchor says that what was"
                " before it was pruned.",
                sequence=1,
            )
        self._meet()

    @property
    def unsealed(self) -> int:
        """Records since the last checkpoint: nothing signed speaks of them yet."""
        return self.place.sequence - self._sealed

    def record(self, sequence: int, text: bytes, claimed: str) -> None:
        """The next record: its canonical text, and the hash that it says it has."""
        expected = self.place.sequence + 1
        if sequence > expected:
            raise ChainBroken(
                f"Record {expected} is missing: after {self.place.sequence} comes {sequence}.", sequence=expected
            )
        if sequence < expected:
            raise ChainBroken(f"Record {sequence} is out of order: {expected} should be here.", sequence=sequence)
        if chained(self.place.hash, text) != claimed:
            raise ChainBroken(
                f"Record {sequence} was changed: its signature is not that of what it says after record {sequence - 1}.",
                sequence=sequence,
            )
        self.place = Place(sequence, claimed)
        self.records += 1
        self._meet()

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """A checkpoint, which must speak of the record just seen."""
        sequence = checkpoint.sequence
        self._check_signature(checkpoint)
        if sequence > self.place.sequence:
            raise ChainBroken(
                f"Record {self.place.sequence + 1} is missing: a checkpoint says that there were {sequence}.",
                sequence=self.place.sequence + 1,
            )
        if sequence < self.place.sequence or (self.checkpoints and sequence == self._sealed):
            raise ChainBroken(f"The checkpoint of record {sequence} is out of order.", sequence=sequence)
        self._agree(checkpoint)
        before = sequence - checkpoint.count
        # The first one of a range may count records before it.
        if before != self._sealed and (self.checkpoints or self._is_whole or before > self._sealed):
            raise ChainBroken(
                f"A checkpoint is missing: that of record {sequence} follows one of record {before}, not {self._sealed}.",
                sequence=sequence,
            )
        self._sealed = sequence
        self.checkpoints += 1

    def end(self) -> None:
        """The chain ends here."""
        last = self.place.sequence
        beyond = min((sequence for sequence in self._known if sequence > last), default=None)
        if beyond is not None:
            raise ChainBroken(
                f"The chain was cut off: it ends with record {last}, and a checkpoint that was kept knows {beyond}.",
                sequence=last + 1,
            )

    def _meet(self) -> None:
        for checkpoint in self._known.get(self.place.sequence, ()):
            self._agree(checkpoint)

    def _agree(self, checkpoint: Checkpoint) -> None:
        if checkpoint.hash != self.place.hash:
            raise ChainBroken(
                f"Record {checkpoint.sequence} or one before it was changed and hashed anew: the signed checkpoint of record"
                f" {checkpoint.sequence} knows another.",
                sequence=checkpoint.sequence,
            )

    def _check_anchor(self, anchor: Anchor) -> None:
        sequence, key = anchor.sequence, self._keys.get(anchor.key_id)
        if anchor.chain != self._chain or Place(sequence, anchor.hash) != self.place:
            raise ChainBroken(
                f"The anchor of record {sequence} is not that of record {self.place.sequence}, after which this chain begins.",
                sequence=self.place.sequence + 1,
            )
        if key is None:
            raise ChainBroken(
                f"The anchor of record {sequence} is signed with the key {anchor.key_id[:64]}, which is none of those that"
                " count.",
                sequence=sequence,
            )
        if not is_signed(key, ANCHOR, anchor.statement(), anchor.signature):
            raise ChainBroken(
                f"The anchor of record {sequence} was changed: its signature is not good.", sequence=sequence
            )

    def _check_signature(self, checkpoint: Checkpoint) -> None:
        if checkpoint.chain != self._chain:
            raise ChainBroken(
                f"The checkpoint of record {checkpoint.sequence} is that of another chain, {checkpoint.chain[:64]}.",
                sequence=checkpoint.sequence,
            )
        key = self._keys.get(checkpoint.key_id)
        if key is None:
            raise ChainBroken(
                f"The checkpoint of record {checkpoint.sequence} is signed with the key {checkpoint.key_id[:64]}, which is none"
                " of those that count.",
                sequence=checkpoint.sequence,
            )
        if not is_signed(key, CHECKPOINT, checkpoint.statement(), checkpoint.signature):
            raise ChainBroken(
                f"The checkpoint of record {checkpoint.sequence} was changed: its signature is not good.",
                sequence=checkpoint.sequence,
            )
