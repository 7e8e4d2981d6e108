"""What runs inside the builds that bundle a Python interpreter; nothing here is imported by the other builds."""
