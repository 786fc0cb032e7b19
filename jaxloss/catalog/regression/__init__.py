"""What is known of the losses of `jaxloss.regression`."""

from jaxloss.catalog.regression import asymmetric, relative, symmetric

ENTRIES = (*symmetric.ENTRIES, *asymmetric.ENTRIES, *relative.ENTRIES)
