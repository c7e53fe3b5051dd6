# Copyright (c) mmdefusion authors. All rights reserved.
import cv2
import numpy as np
import pytest


@pytest.fixture(scope='session')
def photo_folder(tmp_path_factory):
    """Forty photos, 00.png to 39.png in two subfolders; the first pixel of each is its number."""
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for number in range(40):
        photo = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)
        photo[0, 0] = number
        path = folder / ('a' if number < 20 else 'b') / f'{number:02}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), photo)
    return folder
