"""What people see of a study outside of the app: progress, cards, pictures, a page of HTML, values as text."""
