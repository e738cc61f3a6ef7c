"""Measures clips: visual quality, sequence quality, ground truth, distributions; gates and reports."""
