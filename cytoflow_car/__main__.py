"""``python -m cytoflow_car``."""

from cytoflow_car.cli import main

if __name__ == "__main__":
    main()
