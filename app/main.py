"""The app: `streamlit run app/main.py`, or `vtune app STORE`. It reads the store; all that it writes is the queue."""

from pathlib import Path

import shell
import streamlit as st

HERE = Path(__file__).parent

st.set_page_config(page_title="vtune", page_icon=":material/stacked_line_chart:", layout="wide")
st.logo(HERE / "logo.svg", size="large")
st.html(HERE / "style.css")
page = st.navigation(
    {
        "Results": [
            st.Page("views/overview.py", title="Overview", icon=":material/space_dashboard:", default=True),
            st.Page("views/history.py", title="History", icon=":material/timeline:"),
            st.Page("views/curves.py", title="Curves", icon=":material/show_chart:"),
            st.Page("views/trials.py", title="Trials", icon=":material/table_rows:"),
            st.Page("views/pareto.py", title="Pareto", icon=":material/scatter_plot:"),
            st.Page("views/compare.py", title="Compare", icon=":material/compare_arrows:"),
        ],
        "Search": [
            st.Page("views/hyperparameters.py", title="Hyperparameters", icon=":material/tune:"),
            st.Page("views/why.py", title="Why", icon=":material/psychology_alt:"),
            st.Page("views/manual.py", title="Manual", icon=":material/edit_note:"),
        ],
        "Machine": [
            st.Page("views/engine.py", title="Engine", icon=":material/memory:"),
        ],
    },
    expanded=True,
)
if shell.choose_study():
    page.run()
