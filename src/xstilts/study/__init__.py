"""From a study to a plan of steps, and from finished steps to a run folder."""
