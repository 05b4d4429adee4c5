"""The process that knows Ray, with less patience for machines that do not answer."""

from headtohead.runtime.cluster import driver

if __name__ == "__main__":
    driver.SILENCE = 25.0
    driver.main()
