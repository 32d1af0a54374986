# The folder of checkpoints to start from, which the environment variable REPNEXT_PRETRAINED moves.
# Read as data: mmengine's own syntax for variables pastes them into the source, as code.
pretrained = __import__('os').environ.get('REPNEXT_PRETRAINED') or 'pretrained'
