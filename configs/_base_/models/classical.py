# Fusion without learning, on 8-bit luma. Methods: average, laplacian, maximum, mertens, poisson; on the command line
# with `--cfg-options model.method=poisson`. Nothing to train, no checkpoint.
model = dict(
    type='ClassicalFusion',
    method='laplacian',
    data_preprocessor=dict(type='FusionDataPreprocessor'),
)
