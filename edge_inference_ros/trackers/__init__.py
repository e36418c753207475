"""Identity from one sample to the next: one file a tracker."""
