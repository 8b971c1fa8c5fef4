"""The settings of a process: one environment variable each, checked at start."""

from backend.settings.settings import Settings as Settings
from backend.settings.settings import SettingsError as SettingsError
