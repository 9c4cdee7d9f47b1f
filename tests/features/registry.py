"""What a feature file is, and the list of all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.features.encoding import FRAME_RATE

IDENTICAL = "identical"
STANDARD = "by the standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One file: what it covers, what is expected of the project, and what is in it by construction."""

    name: str
    """The file's name."""
    covers: str
    expected: str
    """`identical` to what FFmpeg makes of it; right `by the standard`, where FFmpeg is wrong; or the class name of the refusal."""
    build: Callable[[], bytes]
    numbers: Sequence[int]
    """Of the frames that are presented, in order: what a decoder has to read in the pictures. Nothing for refused files."""
    seconds: Sequence[Fraction]
    """When each is presented, from the first one on."""

    @property
    def is_refused(self) -> bool:
        """Whether the project has to refuse it."""
        return self.expected not in (IDENTICAL, STANDARD)


@dataclass(frozen=True, slots=True)
class Registry:
    """Features of one group, in the order of the table."""

    features: list[Feature] = field(default_factory=list)

    def identical(
        self,
        name: str,
        covers: str,
        numbers: Sequence[int] = range(24),
        *,
        seconds: Sequence[Fraction] | None = None,
    ) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
        """Register what has to come out exactly; times are those of the numbers at 30 frames a second unless given."""
        times = seconds or [Fraction(number - numbers[0], FRAME_RATE) for number in numbers]
        return self._adder(name, covers, IDENTICAL, numbers, times)

    def by_the_standard(
        self,
        name: str,
        covers: str,
        numbers: Sequence[int] = range(24),
        *,
        ffmpeg: str,
    ) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
        """Register what ISO/IEC 14496-12 is clear about and FFmpeg does otherwise; `ffmpeg` says how."""
        times = [Fraction(number - numbers[0], FRAME_RATE) for number in numbers]
        return self._adder(name, f"{covers}; FFmpeg {ffmpeg}", STANDARD, numbers, times)

    def refused(self, name: str, covers: str, code: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
        """Register what has to be refused with the error of that class name."""
        return self._adder(name, covers, code, (), ())

    def _adder(
        self, name: str, covers: str, expected: str, numbers: Sequence[int], seconds: Sequence[Fraction]
    ) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
        def add(build: Callable[[], bytes]) -> Callable[[], bytes]:
            feature = Feature(
                name=name, covers=covers, expected=expected, build=build, numbers=numbers, seconds=seconds
            )
            self.features.append(feature)
            return build

        return add
