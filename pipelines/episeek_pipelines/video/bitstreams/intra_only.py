"""List the types of sample entries of codecs in which every picture is coded by itself.

The types are those that FFmpeg decodes in MP4 and QuickTime (libavformat/isom_tags.c). The codecs are those that FFmpeg marks as
intra only (`ffmpeg -codecs`), or whose specification has no other pictures.
"""

from typing import Final

_UNCOMPRESSED: Final = (
    *(
        "raw ",
        "yuv2",
        "2vuy",
        "yuvs",
        "v308",
        "v408",
        "v410",
        "v210",
        "bxy2",
        "yuv4",
        "Y41P",
        "Y216",
        "L555",
        "L565",
        "B565",
    ),
    *(
        "24BG",
        "BGRA",
        "RGBA",
        "ABGR",
        "b16g",
        "b48r",
        "b64a",
        "bxbg",
        "bxrg",
        "bxyv",
        "NO16",
        "DVOO",
        "R420",
        "R411",
        "WRAW",
    ),
    *("R10k", "R10g", "r210", "AVUI", "AVrp", "SUDS", "AV1x", "AVup", "BGGR"),
)
_STILL_PICTURES: Final = ("png ", "MNG ", "MPNG", "mjp2", "tga ", "tiff", "sgi ", "dpx ", "exr ", "8BPS", "qdrw")
_PRODUCTION: Final = (
    *("apch", "apcn", "apcs", "apco", "ap4h", "ap4x", "AVdn", "AVdh", "CFHD", "icod", "pxlt", "nclc"),
    *("Hap1", "Hap5", "HapY", "HapA", "HapM"),
    *("M0R0", "M0RA", "M0RG", "M0Y0", "M0Y2", "M0Y4", "M8RG", "M8RA", "M8G0", "M8Y0", "M8Y2", "M8Y4", "M8YA"),
    *("M2RA", "M2RG", "M4RA", "M4RG", *(f"Shr{number}" for number in range(8))),
)
_DV: Final = (
    *("dvc ", "dvcp", "dvl ", "dvlp", "dvpp", "dv5p", "dv5n", "AVdv", "AVd1", "dvhq", "dvhp"),
    *(f"dvh{number}" for number in range(1, 7)),
)
_AVC_INTRA: Final = ("AVin", *(f"ai{rate}{form}" for rate in "51" for form in "pq2356"))

INTRA_ONLY: Final = frozenset({*_UNCOMPRESSED, *_STILL_PICTURES, *_PRODUCTION, *_DV, *_AVC_INTRA})
"""Types of sample entries whose codec codes every picture by itself, four characters each."""
