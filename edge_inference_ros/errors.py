"""Everything that can go wrong, and what whoever meets it does.

EdgeInferenceError
├── ConfigError           a file must be edited        configure fails, node stays unconfigured
│   ├── ParameterError
│   ├── ManifestError
│   └── BagError
├── ModelError            an artefact must be rebuilt  configure fails, message has the command
│   ├── EngineMissing
│   ├── EngineStale
│   ├── DigestMismatch
│   └── SpecMismatch
├── BackendError          runtime or device failed     lane ends, node goes to error processing
│   ├── BackendUnavailable
│   ├── OutOfMemory
│   └── InferenceFailed
├── SampleError           this one frame is unusable   dropped and counted, lane goes on
│   ├── BadImage
│   ├── BadCloud
│   └── BadStamp
└── Abandoned             nobody waits any more        what was begun is closed, nothing is said

A stale or superseded sample is not an error: it is a value (``Verdict``, ``Tally``).
"""

from __future__ import annotations

BAD_CONFIGURATION = 78
"""Exit status of a process that cannot start before a file or its command line is corrected.

EX_CONFIG of sysexits.h. Whoever starts processes again should not start this one again.
"""


class EdgeInferenceError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(EdgeInferenceError):
    """A parameter file or manifest says something we cannot honour."""


class ParameterError(ConfigError):
    """A ROS parameter is outside its declared range."""


class ManifestError(ConfigError):
    """A model's manifest is incomplete or contradicts itself."""


class BagError(ConfigError):
    """A recording cannot be read, is not one, or lacks what was asked of it."""


class ModelError(EdgeInferenceError):
    """A model artefact is missing or does not fit; it must be rebuilt."""


class EngineMissing(ModelError):
    """No engine has been built for this device."""


class EngineStale(ModelError):
    """The engine was built from another model, or for another device or runtime."""


class DigestMismatch(ModelError):
    """The file's bytes are not the ones its manifest was written for."""


class SpecMismatch(ModelError):
    """The network's tensors are not the ones its manifest promises."""


class BackendError(EdgeInferenceError):
    """The inference runtime or its device failed."""


class BackendUnavailable(BackendError):
    """The runtime is not installed or has no device here."""


class OutOfMemory(BackendError):
    """The device cannot hold this engine beside what it already holds."""


class InferenceFailed(BackendError):
    """The runtime refused or abandoned a run."""


class SampleError(EdgeInferenceError):
    """One sensor sample cannot be used; the next one may well be."""


class BadImage(SampleError):
    """An image message that contradicts itself or that we do not read."""


class BadCloud(SampleError):
    """A point cloud message that contradicts itself or lacks coordinates."""


class BadStamp(SampleError):
    """A sample without a usable acquisition time."""


class Abandoned(EdgeInferenceError):
    """What was being opened is no longer wanted: the process is told to end."""
