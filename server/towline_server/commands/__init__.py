"""What the control plane adds to the ``towline`` command, through the group ``towline.commands``.

The command's main program renders every `towline.errors.TowlineError` that leaves a command.
"""
