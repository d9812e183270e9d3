"""What people see of values, errors and jobs: functions from data to text. Nothing here writes, reads or waits.

Text that came from elsewhere is made visible before it may reach a terminal (`cells.visible`): a program's data must
not move the cursor, change the colours or turn the direction of the text around it.
"""
