"""The faults we mean to survive: what is broken, how, and what must happen then.

Each row is met by the tests marked ``@pytest.mark.fault(id)``, by the tests named ``elsewhere``,
or says in ``absent`` why it is met by none. ``test/faults/test_rows.py`` holds the table to that.
"""

from __future__ import annotations

from dataclasses import dataclass

CACHE = 'test/backends/test_trt_cache.py'
TRT = 'test/backends/test_trt.py'
FUZZ = 'test/sensors/test_fuzz.py'
HEADS = 'test/heads/test_every_head.py'
DETECTOR = 'test/nodes/test_camera_detector.py'
WATCHDOG = 'test/nodes/test_watchdog.py'
WATCHDOG_ENDS = 'test/nodes/test_watchdog_connections.py'
WATCHDOG_TIME = 'test/nodes/test_watchdog_time.py'


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        id: a letter for what is hit, and a number.
        fault: what breaks.
        injection: how the tests break it.
        required: what must happen.
        bound: what the worst figure is held against.
        tier: 0 pure functions, 1 a process without ROS, 2 a ROS graph.
        elsewhere: tests outside ``test/faults`` that meet it, as 'file::function'.
        absent: what of it no test here meets, and why.
    """

    id: str
    fault: str
    injection: str
    required: str
    bound: str
    tier: str
    elsewhere: tuple[str, ...] = ()
    absent: str = ''


def _at(file: str, *names: str) -> tuple[str, ...]:
    return tuple(f'{file}::test_{name}' for name in names)


ROWS = (
    Row('M1', 'sensor stops', 'publisher stops', 'STALE; nothing empty forwarded',
        'D + tick (+ 50 ms on a graph)', '0, 2'),
    Row('M2', 'messages lost', '1, 10, 50 % and bursts of 1 to 20', 'the rest forwarded; STALE iff '
        'the gap exceeds D', 'counts exact', '0'),
    Row('M3', 'messages late', 'constant, ramp, jitter', 'the verdict flips at age = D', '1 ns', '0'),
    Row('M4', 'stamp repeated', 'the same stamp again', 'REPEATED, not forwarded, silence counts on',
        '0 forwarded', '0'),
    Row('M5', 'out of order', 'two messages swapped', 'OUT_OF_ORDER, not forwarded', '0 forwarded',
        '0'),
    Row('M6', 'frozen picture', 'the same bytes under new stamps', 'FROZEN while moving only',
        '5 repetitions', '0, 2',
        _at(DETECTOR, 'pictures_that_can_show_nothing_are_warned_of')),
    Row('M7', 'stamp zero', 'stamp 0', 'ZERO_STAMP', '0 forwarded', '0'),
    Row('M8', 'stamp in the future', '1 ms to years', 'FUTURE beyond the tolerance', '1 ns', '0'),
    Row('M9', 'another frame_id', 'changed in mid-run', 'MALFORMED', '0 forwarded', '0, 2',
        _at(WATCHDOG, 'a_message_from_another_frame_is_refused')),
    Row('M10', 'two publishers', 'a second sender with older stamps', 'flagged ASYMMETRIC, WARN',
        '10 messages', '0, 2', _at(WATCHDOG, 'two_nodes_on_one_topic_are_flagged')),
    Row('I1', 'sizes of a picture lie', 'encoding, step, length', 'refused, counted, the next is '
        'seen', '0 crashes', '0, 2',
        (*_at(FUZZ, 'damaged_images_are_read_or_refused', 'image_sizes_that_lie_are_refused'),
         *_at(DETECTOR, 'a_malformed_picture_is_counted_and_the_next_one_is_seen'))),
    Row('I2', 'enormous claims', '0x0 to 2^32 pixels', 'refused from the header alone',
        '16 MiB', '0'),
    Row('I3', 'a broken camera', 'black, white, noise, stripes, half lost', 'named in diagnostics',
        '5 pictures', '0, 2', _at('test/core/test_image_health.py',
        'a_broken_camera_is_named_from_the_fifth_picture_on')),
    Row('I4', 'resolution changes', 'between two pictures', 'seen, boxes in the new pixels',
        '0 lost', '1'),
    Row('I5', 'JPEG cut or damaged', 'bytes overwritten and cut', 'refused, counted', '0 crashes',
        '0', _at(FUZZ, 'damaged_pictures_are_decoded_or_refused')),
    Row('C1', 'empty cloud', '0 points', 'a valid cloud', 'no error', '0',
        _at('test/sensors/test_cloud.py', 'a_cloud_of_no_points_is_a_cloud'),
        'SENSOR_EMPTY after three waits for the LiDAR detector; tested as far as the sensor'),
    Row('C2', 'NaN, infinity', 'coordinates overwritten', 'left out', '0 NaN', '0'),
    Row('C3', 'layout of a cloud lies', 'fields, offsets, steps', 'BadCloud', '0 reads outside',
        '0', _at(FUZZ, 'damaged_clouds_are_read_or_refused', 'cloud_sizes_that_lie_are_refused')),
    Row('C4', 'ten million points', 'a large cloud', 'time grows with the points only',
        '2 x nominal', '1', absent='the cap of a LiDAR detector waits for that node'),
    Row('T1', 'wall clock set', '± 50 ms, ± 1 h', 'no age shrinks; over within a second',
        '0 rejuvenated', '0'),
    Row('T2', 'simulated time runs back', 'a bag loops', 'NODATA without an error, then VALID',
        '5 messages', '0'),
    Row('T3', 'simulated time stands still', 'the clock stops', 'CLOCK_STALLED, nothing stale after',
        '0.6 s', '0'),
    Row('T4', 'simulated time leaps', '1 h ahead', 'what is held is stale', '1 tick', '0'),
    Row('T5', 'sensor clock drifts', '100 ppm', 'a trend of the least age is reported',
        'before it is off by 10 ms (100 s)', '0, 2', (*_at('test/guard/test_drift.py',
        'a_clock_that_drifts_is_reported_before_it_is_off_by_ten_milliseconds',
        'an_hour_with_good_clocks_is_no_drift'),
        *_at(WATCHDOG_TIME, 'a_sensor_clock_that_drifts_is_named_in_heartbeat_and_diagnostics'))),
    Row('O1', 'odometry unusable', 'absent, old, NaN, infinite, from the future',
        'the caps, a warning, and an end with the next good sample', '1 message', '0'),
    Row('O2', 'a spike', 'ten times the speed, once', 'tighter deadline; little travel',
        'v_cap x dt x 2', '0'),
    Row('O3', 'wheel locked', 'reads 0 while 1 m/s is commanded', 'the command counts', 'exact', '0'),
    Row('O4', 'gaps, disorder', 'samples left out and swapped', 'never under-counts', '0 m', '0'),
    Row('E1', 'device out of memory', 'raised by the null backend', 'a frame lost, the node lives',
        '3 frames', '1, 2', _at(DETECTOR, 'running_out_of_memory_loses_a_frame_and_not_the_node')),
    Row('E2', 'CUDA context lost', 'sticky error codes from a fake driver', 'exit non-zero at once',
        '1 s', '1', _at(TRT, 'a_lost_context_ends_the_process',
        'the_process_says_why_and_does_not_linger')),
    Row('E3', 'a run hangs', 'the null backend sleeps for an hour', 'STALE at D; dump and exit',
        'hang_s + 1 s', '1, 2', _at('test/ros/test_hang.py', 'the_process_says_where_it_hangs')),
    Row('E4', 'inference slow', 'x 2, x 5', 'skips, never queues', 'age <= T + C', '1'),
    Row('E5', 'outputs are nonsense', 'NaN, infinity, 10^6 boxes', 'refused or clipped', '2 x nominal',
        '0', _at(HEADS, 'no_number_a_network_may_write_gets_past',
        'an_answer_of_nothing_but_nonsense_is_no_detections',
        'a_million_boxes_are_no_more_work_than_the_best_of_them')),
    Row('E6', 'decoding raises', 'an exception every time', 'frames lost; ten in a row end the lane',
        '10 frames', '1'),
    Row('G1', 'engine damaged', '256 flipped bits, truncation', 'never loaded', '0 loads', '0',
        _at(CACHE, 'of_256_flipped_bits_none_reaches_tensorrt',
            'a_truncated_engine_is_not_loaded')),
    Row('G2', 'engine for something else', 'edited key', 'the mismatch is named', 'exact', '0',
        _at(CACHE, 'an_engine_for_something_else_is_stale_and_the_difference_is_named')),
    Row('G3', 'engine from an attacker', 'links, pipes, wrong owner or mode', 'refused', '0 loads',
        '0', _at(CACHE, 'a_linked_engine_is_not_followed',
                 'what_belongs_to_somebody_else_is_refused',
                 'what_others_may_write_is_refused_with_the_remedy')),
    Row('G4', 'disk full while caching', 'ENOSPC', 'nothing half written', '0 partial', '1',
        _at(CACHE, 'a_disk_that_fills_leaves_nothing_half_written_and_warns')),
    Row('G5', 'two builders', 'fifty at once', 'one builds', '50 races', '1',
        _at(CACHE, 'of_fifty_builders_at_once_one_builds')),
    Row('G6', 'hostile ONNX', 'weights outside, sizes without end, false lengths, endless to read',
        'refused by name; reading a foreign file is confined to a child', '0 escapes; 64 MiB', '1',
        _at('test/backends/test_ort.py', 'weights_in_another_file_are_refused',
            'a_file_that_is_no_network_is_refused_by_name')),
    Row('K1', 'detector killed', 'SIGKILL', 'STALE and lock; VALID again after a restart',
        'D + tick + 50 ms; 15 s', '2'),
    Row('K2', 'watchdog killed', 'SIGKILL', 'liveliness of freshness is lost', 'lease + 50 ms', '2'),
    Row('K3', 'either stopped', 'SIGSTOP', 'as if killed; goes on after SIGCONT', 'as K1, K2', '2'),
    Row('K4', 'detector terminated', 'SIGTERM in a run', 'exit 0, no traceback', '3 s', '2'),
    Row('K5', 'lifecycle gone through', '100 times', 'memory does not grow', '+ 5 %', '2'),
    Row('K6', 'deactivated in mid-stream', '200 transitions at 50 Hz (2,000 for the report) with '
        'messages in flight; both nodes, every executor', 'goes on; ends with status 0', '0 exits',
        '2'),
    Row('S1', 'processors busy', 'two spinning processes each', 'nothing late is forwarded',
        '0 stale', '2'),
    Row('S2', 'memory short', 'RLIMIT_AS on the running detector; a control group of 4 MiB, whose '
        'end the kernel makes', 'nothing stale; counted or ended, then as K1', '0 stale', '2',
        absent='swap: what is measured has none'),
    Row('S3', 'heat, power cap', '', '', '', '0', absent='the power ladder has its own suite'),
    Row('S4', 'log disk full', 'a full 64 KiB tmpfs', 'keeps running', 'exit 0', '2'),
    Row('S5', 'no file descriptors', 'RLIMIT_NOFILE on the running watchdog', 'goes on, does not spin',
        '1 core', '2'),
    Row('D1', 'network partition', 'a cable between two network namespaces, pulled for 5 s',
        'STALE, locked; VALID once mended', 'D + tick + 50 ms; 5 s', '2'),
    Row('D2', 'QoS mismatch', 'a best-effort writer to a reliable reader', 'ERROR names the policy',
        '1 s', '2', (*_at(WATCHDOG_ENDS,
        'a_publisher_with_other_demands_is_named_with_the_policy_until_it_leaves'),
        *_at(DETECTOR, 'a_subscriber_with_other_demands_is_named'))),
    Row('D3', 'unauthorised publisher', 'SROS2: no keys, another authority, no right to the topic; '
        'our own node without its key', 'not heard; does not start', '0 received', '2'),
    Row('D4', 'hostile control message', 'bytes that are no odometry, no command', 'the caps',
        '0 crashes', '0, 2', (*_at(WATCHDOG,
        'bytes_that_are_no_odometry_mean_the_caps_until_the_next_good_sample',
        'bytes_that_are_no_command_count_as_the_caps'),
        *_at(FUZZ, 'damaged_headers_are_read_or_refused',
             'bytes_that_never_were_a_message_are_refused'))),
    Row('P1', 'impossible parameter', 'NaN, infinity, negative, text, unknown', 'refused by name',
        '100 %', '0, 2', (*_at(WATCHDOG,
        'a_configuration_that_cannot_be_honoured_is_refused_in_words'),
        *_at('test/core/test_params.py', 'a_bad_value_is_named_with_what_was_allowed'))),
    Row('P2', 'contradicting parameters', 'margin >= range and others', 'refused as a whole', '0',
        '0', _at('test/guard/test_deadline.py',
                 'figures_that_contradict_each_other_are_refused')),
    Row('P3', 'd_max changes while moving', 'set in mid-run', 'used from the next tick', '1 tick',
        '2', _at(WATCHDOG, 'the_profile_changes_while_running')),
    Row('P4', 'corner values of the speed limit', 'random ages, rates, speeds',
        'in [v_floor, v_cap] or absent', '0 in 10^6', '0'),
    Row('B1', 'hostile bag', 'cut, damaged, bombs, .. and links in names', 'refused by name', '0 read',
        '1', (*_at('test/replay/test_bags.py', 'metadata_may_not_name_files_elsewhere',
        'a_link_out_of_the_folder_is_not_followed',
        'a_truncated_bag_is_refused_or_says_what_is_lost_and_gives_no_figures',
        'a_bag_whose_definition_differs_from_the_type_is_refused',
        'a_damaged_file_is_a_bag_error_or_still_a_bag'),
        *_at('test/replay/test_containers.py', 'a_bomb_is_stopped_long_before_its_end'))),
    Row('B2', 'senseless stamps in a bag', 'none, zero, equal, backward', 'INVALID INPUT, no report',
        'exit 2', '0'),
    Row('B3', 'weights as a pickle', 'a file that runs code when unpickled', 'refused, not run',
        '0 executed', '0'),
)  # fmt: skip
