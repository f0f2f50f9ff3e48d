"""scikit-learn's digits: real 8x8 scans that come inside the package, so no download."""

from collections.abc import Iterator

import numpy as np

from dmlbench.data.dataset import Dataset, Record, register_dataset


@register_dataset(
    "digits_even_odd",
    train_label="parity",
    train_classes=2,
    evaluations=[
        ("train", "", "digit"),
        ("train", "", "parity"),
        ("test", "seen", "digit"),
        ("test", "unseen", "digit"),
    ],
    sub_labels={"parity": "digit"},
    counts={"train": 720, "test": 1077, "test/seen": 363, "test/unseen": 714},
    mode="L",
)
class DigitsEvenOdd(Dataset):
    """Even against odd on digits 0-5, tested on the digits themselves, 0-5 and 6-9.

    The experiment is that of EPS section 5.1 on smaller images. The file has no test part: of
    each digit 0-5 the last third in file order is held out for testing.
    """

    def records(self, raw: dict[str, str]) -> Iterator[Record]:
        from sklearn.datasets import load_digits

        scans = load_digits()
        # 0..16 grey levels become 0..255, which is what every other source has.
        images = np.round(scans.images * (255 / 16)).astype(np.uint8)
        for number, (image, digit) in enumerate(zip(images, scans.target, strict=True)):
            same = np.flatnonzero(scans.target == digit)
            held_out = digit > 5 or number >= same[len(same) * 2 // 3]
            split = "test" if held_out else "train"
            subset = "" if not held_out else "seen" if digit <= 5 else "unseen"
            labels = {"digit": int(digit), "parity": int(digit % 2)}
            yield Record(f"digits/{number:04d}", split, labels, image[:, :, None], subset)
