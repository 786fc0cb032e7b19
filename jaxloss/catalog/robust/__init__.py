"""What is known of the losses of `jaxloss.robust`."""

from jaxloss.catalog.robust import correction, noise, outliers

NOT_LOSSES: dict[str, str] = {
    "EarlyLearningState": "the state of early_learning_loss",
    "early_learning_init": "makes the state of early_learning_loss",
    "early_learning_update": "updates the state of early_learning_loss",
}

ENTRIES = (*outliers.ENTRIES, *noise.ENTRIES, *correction.ENTRIES)
