"""The process that knows Ray, with less patience for machines that do not answer."""

from headtohead.runtime.cluster import driver

if __name__ == "__main__":
    driver.SILENCE = 60.0  # a busy machine may be late with several signs of life
    driver.main()
