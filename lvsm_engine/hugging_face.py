"""What of huggingface_hub fetching needs, in one place: importing this raises ImportError where it is not installed."""

from huggingface_hub import constants as constants
from huggingface_hub import get_hf_file_metadata as get_hf_file_metadata
from huggingface_hub import get_session as get_session
from huggingface_hub import hf_hub_url as hf_hub_url
from huggingface_hub.errors import EntryNotFoundError as EntryNotFoundError
from huggingface_hub.errors import GatedRepoError as GatedRepoError
from huggingface_hub.errors import HfHubHTTPError as HfHubHTTPError
from huggingface_hub.errors import HTTPError as HTTPError
from huggingface_hub.errors import RepositoryNotFoundError as RepositoryNotFoundError
from huggingface_hub.errors import RevisionNotFoundError as RevisionNotFoundError
from huggingface_hub.utils import WeakFileLock as WeakFileLock
from huggingface_hub.utils import build_hf_headers as build_hf_headers
from huggingface_hub.utils import hf_raise_for_status as hf_raise_for_status
