"""The collection is imported by Ansible's own loader, as in a run. It has to be there before the first import."""

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()
