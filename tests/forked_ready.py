"""What is loaded before workers are forked: see `forked`."""

import headtohead.runtime.timing
import headtohead.runtime.worker
from headtohead.config.study import BackboneSpec
from headtohead.training.acceleration import get_ready

MODULES = (headtohead.runtime.worker, headtohead.runtime.timing)

get_ready(BackboneSpec())
