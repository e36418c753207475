"""Every remedy is given for the cause that makes it true, and for no other."""

import dataclasses

import pytest

from edge_inference_ros.core.transport import ENLARGE
from edge_inference_ros.core.types import Level
from edge_inference_ros.ros.account import Account, Facts
from edge_inference_ros.ros.clock_fault import clock_fault
from edge_inference_ros.ros.inputs import Ends, Judge

MS = 1_000_000
BIG, SMALL = 921_600, 2_000
ONE = Ends(('/driver',))
JUDGE = Judge('/image', '/opt/shm.xml')
WELL = Facts(
    received=1000, held=128, rate_hz=30.0, sent_hz=30.0, is_counted=True, message_bytes=BIG
)


def told(ends=ONE, judge=JUDGE, **changes):
    return judge(dataclasses.replace(WELL, **changes), ends)


def test_a_steady_stream_is_fine():
    assert told() == (Level.OK, '/image at 30.0 Hz', '')


def test_a_driver_is_given_time_for_its_first_word():
    record = Account(0)

    assert JUDGE(record.facts(1_000 * MS), Ends()) == (Level.OK, 'waiting for /image', '')


NEVER = {'received': 0, 'held': 0, 'rate_hz': 0.0, 'sent_hz': 0.0, 'silent_s': 3.0}
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
TRANSPORT = 'FASTRTPS_DEFAULT_PROFILES_FILE=/opt/shm.xml'

CAUSES = {
    'nobody publishes': (
        Ends(),
        NEVER,
        'nothing on /image for 3.0 s; nobody publishes it: start the driver, or remap (ros2 topic',
    ),
    'somebody publishes elsewhere': (
        Ends(elsewhere=('/cam/image', '/cam/image/compressed')),
        NEVER,
        'or remap to one of /cam/image, /cam/image/compressed (ros2 topic list)',
    ),
    'another type': (
        Ends(others=('sensor_msgs/msg/PointCloud2',)),
        NEVER,
        'it carries sensor_msgs/msg/PointCloud2: remap to a topic of a type we read',
    ),
    'announced, nothing came, nothing lost': (
        ONE,
        NEVER,
        'though /driver has announced it; either it sends nothing (look at its log), or every',
    ),
    'announced, all lost': (
        ONE,
        NEVER | {'newly_lost': 57},
        '57 messages of /driver were lost on the way; messages over 0.5 MB',
    ),
    'unplugged': (
        ONE,
        {'silent_s': 3.0},
        '/driver is still there, and 1000 messages came before; its driver has stopped sending',
    ),
    'no stamps': (
        ONE,
        {'unstamped': 128},
        'messages on /image carry no usable stamp and are rejected; the driver must stamp',
    ),
    'frozen stamps': (
        ONE,
        {'is_frozen': True},
        'the last messages on /image all carry the same stamp; the driver must stamp the time at',
    ),
    'another clock': (
        ONE,
        {'clock': clock_fault(10**18, 10**9, 10**12)},
        '/image is stamped 1000000000.0 s in the past; the driver uses another clock',
    ),
    'two send': (
        Ends(('/left', '/right')),
        {'interleaved': True},
        '/image has 2 publishers that send by turns: /left, /right; remap all but one',
    ),
    'big ones lost on the way': (
        ONE,
        {'missing': 0.3, 'skipped': 30, 'newly_lost': 30, 'rate_hz': 21.0},
        '21.0 of 30.0 Hz arrive, the rest is lost on the way; messages over 0.5 MB need',
    ),
    'small ones lost on the way': (
        ONE,
        {'missing': 0.1, 'skipped': 10, 'newly_lost': 10, 'message_bytes': SMALL},
        'the network or this processor is overloaded',
    ),
    'replaced before they were taken': (
        ONE,
        {'missing': 0.6, 'skipped': 60, 'newly_lost': 0},
        'they reach this host and are replaced before they are taken: this process is overloaded',
    ),
    'went back': (ONE, {'back_s': 58.3}, 'stamps of /image went back by 58.3 s; a recording that'),
    'leapt': (ONE, {'leap_s': 3600.0}, 'leapt ahead by 3600.0 s; the clock of the sensor was set'),
    'paused': (
        ONE,
        {'pause_s': 30.0},
        '/image paused for 30.0 s; nothing was lost on the way: the driver sent nothing',
    ),
    'another rate': (
        ONE,
        {'sent_hz': 15.0, 'rate_before_hz': 30.0},
        'the rate of /image changed from 30.0 to 15.0 Hz; nothing was lost on the way: the driver',
    ),
}
REMEDIES = {
    'nobody publishes it': {'nobody publishes', 'somebody publishes elsewhere'},
    'remap to a topic': {'another type'},
    TRANSPORT: {
        'announced, nothing came, nothing lost',
        'announced, all lost',
        'big ones lost on the way',
    },
    'stopped sending': {'unplugged'},
    'must stamp': {'no stamps', 'frozen stamps'},
    'another clock': {'another clock'},
    'remap all but one': {'two send'},
    'look at the load and the link': {'small ones lost on the way'},
    'this process is overloaded': {'replaced before they were taken'},
    'a recording that starts over': {'went back'},
    'clock of the sensor was set': {'leapt'},
    'sent nothing meanwhile': {'paused'},
    'longer exposure': {'another rate'},
}


@pytest.mark.parametrize('cause', CAUSES)
def test_a_cause_is_named_with_its_remedy_and_with_no_other(cause):
    ends, changes, words = CAUSES[cause]

    verdict = told(ends, **changes)

    assert verdict.level > Level.OK
    assert words in str(verdict)
    given = {remedy for remedy in REMEDIES if remedy in str(verdict)}
    assert given == {remedy for remedy, causes in REMEDIES.items() if cause in causes}


@pytest.mark.parametrize('cause', sorted(REMEDIES[TRANSPORT]))
def test_where_shared_memory_is_short_that_is_the_remedy(cause):
    ends, changes, _ = CAUSES[cause]
    judge = Judge('/image', '/opt/shm.xml', shortage=ENLARGE)

    verdict = told(ends, judge, **changes)

    assert '--shm-size' in verdict.remedy
    assert TRANSPORT not in verdict.remedy


def test_another_form_of_what_we_read_names_the_parameter():
    judge = Judge('/image', '', remedies=((COMPRESSED, 'set the parameter transport'),))

    verdict = told(Ends(others=(COMPRESSED,)), judge, **NEVER)

    assert verdict.remedy == f'it carries {COMPRESSED}: set the parameter transport'


def test_two_publishers_of_which_one_is_silent_are_no_fault():
    assert told(Ends(('/left', '/right')), is_numbered=True).level == Level.OK


def test_two_publishers_are_named_where_nobody_can_tell_which_of_them_sends():
    level, message, remedy = told(Ends(('/left', '/right')))

    assert level == Level.WARN
    assert message == '/image has 2 publishers, of which more than one may send: /left, /right'
    assert 'remap all but one' in remedy
    assert told(Ends(('/left', '/right')), received=0).message == 'waiting for /image'


def test_loss_is_said_before_publishers_that_may_both_send():
    level, message, _ = told(Ends(('/left', '/right')), missing=0.5, skipped=9, newly_lost=9)

    assert level == Level.ERROR
    assert 'publishers' not in message


@pytest.mark.parametrize(('missing', 'level'), [(0.02, 0), (0.03, 1), (0.2, 1), (0.21, 2)])
def test_how_much_is_missing_decides_how_bad_it_is(missing, level):
    assert told(missing=missing, skipped=9, newly_lost=9).level == level


def test_a_rate_that_was_promised_and_is_not_kept_is_said():
    judge = Judge('/image', '', expected_hz=30.0)

    verdict = told(judge=judge, rate_hz=15.0, sent_hz=15.0)

    assert verdict.level == Level.WARN
    assert verdict.message == '/image arrives at 15.0 of 30.0 Hz'
    assert verdict.remedy.startswith('nothing was lost on the way: the driver sends no faster')
    assert told(judge=judge, rate_hz=27.5, sent_hz=27.5).level == Level.OK


def test_where_nobody_counts_losses_no_word_says_that_there_were_none():
    verdict = told(is_counted=False, pause_s=30.0)

    assert verdict.remedy.startswith('unless messages are lost on the way, which nobody counts')


def test_a_slow_stream_is_not_silent_between_two_messages():
    assert told(sent_hz=1.0, silent_s=2.5).level == Level.OK
    assert told(sent_hz=1.0, silent_s=5.5).level == Level.ERROR
