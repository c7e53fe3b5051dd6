# LLVIP: persons at night, 1280x1024, 12,025 pairs for training and 3,463 for testing.
# Checked on made-up copies of this tree.
#
# data/LLVIP
# ├── visible/{train,test}/010001.jpg ...
# ├── infrared/{train,test}/010001.jpg ...
# ├── Annotations/010001.xml ...
# └── annotations/{visible,infrared}_{train,test}.json     by tools/dataset_converters/detection2coco.py llvip
#
# What a detector's config takes from here has names of its own, so that any config of mmdet can stand beside it.
pair_root = 'data/LLVIP/'
metainfo = dict(
    classes=('person',),
    palette=[(220, 20, 60)],
)
num_classes = 1
pair_scale = (640, 512)

pair_meta_keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
load_pair = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdefusion.LoadPairedImage', path_map=('/visible/', '/infrared/')),
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
            [dict(type='Resize', scale=scale, keep_ratio=True) for scale in ((480, 384), pair_scale, (800, 640))],
            [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)],
            [dict(type='LoadAnnotations', with_bbox=True)],
            [dict(type='PackDetInputs', meta_keys=(*pair_meta_keys, 'flip', 'flip_direction'))],
        ],
    ),
]
pair_tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
val_ann_file = pair_root + val_set['ann_file']
pair_visualizer = dict(type='mmdefusion.PairedDetLocalVisualizer', path_map=('/visible/', '/infrared/'))
