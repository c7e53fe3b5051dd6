# MSRS: streets by day and night, 640x480. Training boxes are made from the masks, test boxes are the published ones of
# 80 images, of which those in train are not trained on.
# Checked on made-up copies of this tree.
#
# data/MSRS
# ├── train/{vi,ir}/00001D.png ...
# ├── train/Segmentation_labels/00001D.png ...    masks: 1 car, 2 person
# ├── detection/{vi,ir}/131.png ...
# ├── detection/labels/131.txt ...                YOLO: 0 person, 2 car
# └── annotations/{visible,infrared}_{train,test}.json     by tools/dataset_converters/detection2coco.py msrs
#
# What a detector's config takes from here has names of its own, so that any config of mmdet can stand beside it.
pair_root = 'data/MSRS/'
metainfo = dict(
    classes=('person', 'car'),
    palette=[(220, 20, 60), (0, 0, 142)],
)
num_classes = 2
pair_scale = (640, 480)

pair_meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
load_pair = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage', path_map=('/vi/', '/ir/')),
]
train_set = dict(
    data_root=pair_root,
    ann_file='annotations/visible_train.json',
    data_prefix=dict(img=''),
    metainfo=metainfo,
    pipeline=[
        *load_pair,
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='RandomResize', scale=pair_scale, ratio_range=(0.8, 1.25), keep_ratio=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmdefusion.ApplyToSource', index=0, transforms=[dict(type='PhotoMetricDistortion')]),
        dict(type='PackDetInputs'),
    ],
)
val_set = dict(
    data_root=pair_root,
    ann_file='annotations/visible_test.json',
    data_prefix=dict(img=''),
    metainfo=metainfo,
    pipeline=[
        *load_pair,
        dict(type='Resize', scale=pair_scale, keep_ratio=True),
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='PackDetInputs', meta_keys=pair_meta_keys),
    ],
)
pair_tta_pipeline = [
    *load_pair,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=scale, keep_ratio=True) for scale in ((480, 360), pair_scale, (800, 600))],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            [dict(type='LoadAnnotations', with_bbox=True)],
            [dict(type='PackDetInputs', meta_keys=(*pair_meta_keys, 'flip', 'flip_direction'))],
        ],
    ),
]
pair_tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
val_ann_file = pair_root + val_set['ann_file']
pair_visualizer = dict(type='mmdefusion.PairedDetLocalVisualizer', path_map=('/vi/', '/ir/'))
