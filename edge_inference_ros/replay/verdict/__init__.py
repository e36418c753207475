"""From runs of a baseline and a candidate to one word: has it become worse?"""
