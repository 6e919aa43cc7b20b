"""Picture files as arrays: read as they are shown, refused where they are no pictures, and fitted to a shape."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from replica.datasets.mirrors import BadFileError, regular

FORMATS = ("PNG", "JPEG")
LARGEST = 50_000_000  # pixels; a telephone's pictures have 12 to 50 million


def read(
    file: Path | IO[bytes], name: str, formats: tuple[str, ...] = FORMATS, enough: int | None = None
) -> Image.Image:
    """A picture upright, in mode L where it is grey and RGB where it has colours; what is transparent is white.

    Parameters
    ----------
    enough
        Pixels of the shorter side that are needed: of a picture that has twice as many or more, smaller copies are
        kept in memory. None: it comes as it is.

    Raises
    ------
    BadFileError
        Where it is damaged, of another format, or claims more pixels than `LARGEST`; the message begins with `name`.
    """
    if isinstance(file, Path) and not file.is_dir():
        regular(file)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=formats) as image:
            if image.width * image.height > LARGEST:
                raise Image.DecompressionBombError
            if enough is not None:
                image.draft(None, (enough, enough))  # a JPEG is decoded at an eighth, a quarter or half of its size
                if min(image.size) >= 2 * enough:
                    return reduced(image, min(image.size) // enough)
            return shown(ImageOps.exif_transpose(image))
    except FileNotFoundError:
        raise BadFileError(f"{name}: no such file") from None
    except IsADirectoryError:
        raise BadFileError(f"{name}: a folder, where a picture was expected") from None
    except Image.DecompressionBombError:  # Pillow's own limit is another, and far higher
        raise BadFileError(f"{name}: a picture of more than {LARGEST:,} pixels") from None
    except Image.UnidentifiedImageError:
        raise BadFileError(f"{name}: no {', '.join(formats[:-1])} or {formats[-1]} picture") from None
    except Exception as error:  # a decoder on hostile bytes raises whatever it likes
        raise BadFileError(f"{name}: a damaged picture ({' '.join(str(error).split())})") from None


def shown(image: Image.Image) -> Image.Image:
    """As a page shows it: on white, and with 8 bits a channel."""
    if image.mode.startswith("I;16"):  # `convert` would clip what is above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert(mode)
    return image.convert(mode)


def reduced(image: Image.Image, factor: int) -> Image.Image:
    """As `read` returns it, each pixel the mean of so many squared; what can be reduced before it is copied, is."""
    if image.mode in ("L", "LA", "RGB", "RGBA") and "transparency" not in image.info:
        return shown(ImageOps.exif_transpose(image.reduce(factor)))
    return shown(ImageOps.exif_transpose(image)).reduce(factor)


def fit(image: Image.Image, shape: Sequence[int]) -> np.ndarray:
    """The picture's middle, as large as its sides allow, resized: uint8 [height, width, 1 or 3].

    One that has this size already is taken as it is.
    """
    height, width, channels = shape
    fitted = ImageOps.fit(image.convert("L" if channels == 1 else "RGB"), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(height, width, channels)
