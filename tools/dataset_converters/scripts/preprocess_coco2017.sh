#!/usr/bin/env bash
# Called by `mim download mmdefusion --dataset coco2017`: unpacks the photos of COCO that pretraining needs.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 DOWNLOAD_DIR DATA_ROOT" >&2
    exit 2
fi

for part in train2017 val2017; do
    unzip -q -o "$1/OpenDataLab___COCO_2017/raw/Images/$part.zip" -d "$2"
done
