# Ablation: as many batches, all of photos.
_base_ = 'defusion-pp_nano_mcud_1xb16-10e_photos-roadscene-msrs-160px.py'

model = dict(teachers=[], mcud_head=None)
train_dataloader = dict(batch_sampler=dict(ratio=(1, 0)))
